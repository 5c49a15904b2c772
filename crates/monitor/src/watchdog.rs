//! The watchdog: a native thread that notices a loop which does not come back from a turn, while it does not.
//!
//! It looks at the loop's pulse a few times per threshold. A turn that is still the same after the threshold is a stall;
//! from then on the blocked thread's state is read at the threshold, at twice and four times that, and so on, so that what it
//! does is known and not guessed from one look. What has been found waits for whoever asks ([`Watchdog::news`]), which
//! may need a lock that the blocked thread holds: nothing here does.

use std::fmt;
use std::io::{PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ourio_engine::Pulse;

use crate::thread_state::ThreadState;

/// Looks per threshold.
const LOOKS: u32 = 4;
/// The shortest time between two looks.
const LOOK_MIN: Duration = Duration::from_millis(1);
/// States that are read of one stall: at 1, 2, 4, ... thresholds.
const STATES_MAX: usize = 12;
/// Stalls that wait to be asked for; the oldest are dropped beyond.
const NEWS_MAX: usize = 256;

/// A turn that takes, or took, longer than the threshold.
#[derive(Debug, Clone)]
pub struct Stall {
    /// Names it: the beat of the loop's pulse, which is still the same if the stall goes on.
    pub beat: u64,
    /// How long it has taken when it was last looked at; up to a quarter of the threshold too short.
    pub blocked: Duration,
    /// Whether it is over.
    pub is_over: bool,
    /// What the thread did: the first at the look before the threshold, the others since.
    pub states: Vec<ThreadState>,
    /// When it was seen to be so.
    pub seen: Instant,
    /// Since when it waits to be asked for: what was seen since has only been added to that.
    pub told: Instant,
}

impl Stall {
    /// The same, seen now.
    fn at(self, is_over: bool) -> Self {
        let now = Instant::now();
        Self { is_over, seen: now, told: now, ..self }
    }

    /// How long it has taken: until it was seen to be over, or until now.
    pub fn duration(&self) -> Duration {
        if self.is_over { self.blocked } else { self.blocked + self.seen.elapsed() }
    }
}

/// Watches one loop for as long as it lives.
///
/// # Forked processes
///
/// A thread does not come along: in the other process a watchdog is silent, and dropping it does nothing.
pub struct Watchdog {
    shared: Arc<Shared>,
    pulse: Pulse,
    thread: Option<JoinHandle<()>>,
    bell: PipeReader,
    /// The process that the thread is in.
    process: u32,
}

struct Shared {
    threshold: Duration,
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Default)]
struct State {
    stop: bool,
    /// Changed since they were asked for.
    news: Vec<Stall>,
    /// Whether the bell was rung since they were asked for.
    is_rung: bool,
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("threshold", &self.shared.threshold).finish_non_exhaustive()
    }
}

impl Watchdog {
    /// Starts to watch.
    ///
    /// `on_stall` is called by the watching thread when a stall has begun or goes on, when there is news of it to be seen
    /// by [`Watchdog::peek`], before the thread does anything that takes time, such as reading what the loop's does, and
    /// before the bell is rung.
    ///
    /// # Errors
    ///
    /// The system's, if it refuses a thread.
    pub fn start(
        pulse: Pulse,
        threshold: Duration,
        on_stall: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { threshold, state: Mutex::default(), stopped: Condvar::new() });
        let (own, detector) = (Arc::clone(&shared), StallDetector::new(pulse.clone()));
        let (bell, bell_writer) = std::io::pipe()?;
        let thread = thread::Builder::new().name("ourio-watchdog".to_owned());
        let thread = thread.spawn(move || detector.run(&own, bell_writer, &on_stall))?;
        Ok(Self { shared, pulse, thread: Some(thread), bell, process: std::process::id() })
    }

    /// Becomes readable when there is news, and ends when the watchdog stops: for a thread that waits.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Stops watching; the bell ends.
    pub fn stop(&self) {
        if self.is_ours() {
            self.shared.lock().stop = true;
            self.shared.stopped.notify_all();
        }
    }

    /// Whether this is the process that watches: in another one the lock may have been taken when it was forked.
    fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    /// What has changed since this was asked last: stalls that have begun, gone on, or ended. Of a stall that was asked
    /// for before, all of it.
    pub fn news(&self) -> Vec<Stall> {
        if !self.is_ours() {
            return Vec::new();
        }
        let mut state = self.shared.lock();
        state.is_rung = false;
        std::mem::take(&mut state.news)
    }

    /// The same, for who only looks: it is still there to be asked for.
    pub fn peek(&self) -> Vec<Stall> {
        if self.is_ours() { self.shared.lock().news.clone() } else { Vec::new() }
    }

    /// What the loop's thread does now.
    pub fn thread_state(&self) -> Option<ThreadState> {
        ThreadState::read(self.pulse.thread()?).ok()
    }

    /// Whether the loop is still in the turn that this beat names.
    pub fn is_still(&self, beat: u64) -> bool {
        self.pulse.beat().number() == beat
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop();
        let thread = self.thread.take();
        if let Some(thread) = thread.filter(|_| self.is_ours()) {
            // It panics for nothing that it could say; and it never waits for more than a look.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, mut news: Stall) {
        if let Some(earlier) = self.news.iter().find(|earlier| earlier.beat == news.beat) {
            news.told = earlier.told;
        }
        self.news.retain(|earlier| earlier.beat != news.beat);
        if self.news.len() >= NEWS_MAX {
            self.news.remove(0);
        }
        self.news.push(news);
    }

    /// Wakes who waits for news, if there is any and nobody was woken for it.
    fn ring(&mut self, bell_writer: &mut PipeWriter) {
        if !self.news.is_empty() && !self.is_rung {
            self.is_rung = true;
            // At most one byte lies there unread for each time that somebody asked: it never fills up. A reader that is
            // gone is nobody's loss.
            drop(bell_writer.write(&[1]));
        }
    }
}

/// The watching thread's own: what it has seen of the loop's pulse.
struct StallDetector {
    pulse: Pulse,
    beat: u64,
    since: Instant,
    /// Read when this turn was first seen: what is subtracted from the later ones.
    before: Option<ThreadState>,
    stall: Option<Stall>,
}

impl StallDetector {
    fn new(pulse: Pulse) -> Self {
        let beat = pulse.beat().number();
        Self { pulse, beat, since: Instant::now(), before: None, stall: None }
    }

    fn run(mut self, shared: &Shared, mut bell_writer: PipeWriter, on_stall: &impl Fn()) {
        let look = (shared.threshold / LOOKS).max(LOOK_MIN);
        let mut state = shared.lock();
        while !state.stop {
            let rests = self.pulse.beat().is_resting();
            // A loop that rests cannot be late before it has begun: one look per threshold is enough.
            let pause = if rests && self.stall.is_none() { shared.threshold.max(look) / 2 } else { look };
            state = shared.stopped.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
            if state.stop {
                break;
            }
            drop(state);
            let news = self.look(shared.threshold, |news| {
                shared.lock().add(news);
                on_stall();
            });
            state = shared.lock();
            if let Some(news) = news {
                state.add(news);
            }
            state.ring(&mut bell_writer);
        }
        // What is not over is told as far as it was seen: nobody looks any more.
        if let Some(stall) = self.stall.take() {
            state.add(Stall { is_over: true, told: Instant::now(), ..stall });
            state.ring(&mut bell_writer);
        }
    }

    /// One look. What is new goes to `tell` at once, before anything that takes time: on a busy machine this thread may lose
    /// its processor at any moment, and the stall may end. What was found out after that is the result.
    fn look(&mut self, threshold: Duration, tell: impl FnOnce(Stall)) -> Option<Stall> {
        let beat = self.pulse.beat();
        let read = |pulse: &Pulse| pulse.thread().and_then(|thread| ThreadState::read(thread).ok());
        if beat.is_resting() || beat.number() != self.beat {
            self.beat = beat.number();
            self.since = Instant::now();
            self.before = None;
            return self.stall.take().map(|stall| stall.at(true));
        }
        let blocked = self.since.elapsed();
        let Some(stall) = &mut self.stall else {
            if blocked < threshold {
                // The second look at the same turn: most turns are over by then.
                if self.before.is_none() {
                    self.before = read(&self.pulse);
                }
                return None;
            }
            let now = Instant::now();
            let states = self.before.into_iter().collect();
            let mut stall = Stall { beat: self.beat, blocked, is_over: false, states, seen: now, told: now };
            tell(stall.clone());
            stall.states.extend(read(&self.pulse));
            self.stall = Some(stall.clone());
            return Some(stall);
        };
        stall.blocked = blocked;
        stall.seen = Instant::now();
        let due = threshold
            * 2u32.saturating_pow(u32::try_from(stall.states.len()).unwrap_or(u32::MAX).saturating_sub(1));
        if blocked < due || stall.states.len() >= STATES_MAX {
            return None;
        }
        tell(stall.clone().at(false));
        stall.states.extend(read(&self.pulse));
        Some(stall.clone().at(false))
    }
}
