//! `StallWatch`: the native half of `ourio.Watchdog`. It never takes the interpreter's lock; whoever asks has it.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ourio_engine::{Clock, Time};
use ourio_monitor::{Activity, Stall, ThreadState, Watchdog, own_delay};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::seconds::seconds;
use crate::insight::pending_call;
use crate::queue::scheduler::Scheduler;

/// What the kernel says of a thread: a letter as in proc(5), seconds on a processor, seconds of waiting for one, the name
/// and the descriptor of the system call, and whether that waits for a lock.
pub(crate) type State = (char, Option<f64>, Option<f64>, Option<&'static str>, Option<i32>, bool);

/// A stall: the turn's number, seconds so far, whether it is over, seconds since there has been news of it that nobody
/// asked for, and the states of the thread meanwhile.
type News = (u64, f64, bool, f64, Vec<State>);

/// Watches a loop from a native thread.
#[pyclass(module = "ourio._ourio", frozen)]
#[derive(Debug)]
pub(crate) struct StallWatch {
    watchdog: Watchdog,
    /// When the last collection of garbage began, and ended: nanoseconds of `time.monotonic()`.
    collection: [AtomicU64; 2],
}

#[pymethods]
impl StallWatch {
    #[new]
    fn new(event_loop: &Bound<'_, Scheduler>, threshold: f64) -> PyResult<Self> {
        let threshold = Duration::try_from_secs_f64(threshold).ok().filter(|threshold| !threshold.is_zero());
        let threshold = threshold
            .ok_or_else(|| PyValueError::new_err("threshold must be a positive number of seconds"))?;
        let pulse = event_loop.get().engine().borrow().pulse();
        Ok(Self {
            watchdog: Watchdog::start(pulse, threshold, pending_call::ask)?,
            collection: Default::default(),
        })
    }

    /// The descriptor that becomes readable when there is news, and ends when the watch is stopped.
    fn fileno(&self) -> i32 {
        self.watchdog.bell().as_raw_fd()
    }

    /// For `gc.callbacks`: native, as a small collection takes little longer than a call of Python code.
    fn collecting(&self, phase: &str, _info: &Bound<'_, PyAny>) {
        let place = usize::from(phase != "start");
        self.collection[place].store(Clock::Real.now().as_nanos(), Ordering::Relaxed);
    }

    /// When the last collection began and ended, by `time.monotonic()`.
    fn collection(&self) -> (f64, f64) {
        let read = |time: &AtomicU64| seconds(Time::from_nanos(time.load(Ordering::Relaxed)));
        (read(&self.collection[0]), read(&self.collection[1]))
    }

    /// Stops watching.
    fn stop(&self) {
        self.watchdog.stop();
    }

    /// The stalls that have begun, gone on or ended: the turn's number, seconds so far, whether it is over, seconds since
    /// there has been news of it that nobody asked for, and the states of the thread meanwhile.
    fn news(&self) -> Vec<News> {
        self.watchdog.news().into_iter().map(news).collect()
    }

    /// The same, which `news` still tells afterwards.
    fn peek(&self) -> Vec<News> {
        self.watchdog.peek().into_iter().map(news).collect()
    }

    /// Whether the loop is still in that turn.
    fn is_still(&self, turn: u64) -> bool {
        self.watchdog.is_still(turn)
    }

    /// Whether the loop's thread computes, and whether it is in a system call, although the caller has the interpreter's
    /// lock and keeps it meanwhile: most often it waits for that.
    ///
    /// A thread that waits for the lock may be about to, and have no processor for that: only time on one is computing.
    fn look(&self) -> (bool, bool) {
        let began = Instant::now();
        let mut first = None;
        while let Some(state) = self.watchdog.thread_state() {
            if state.activity != Activity::Running {
                return (false, state.call.is_some_and(|call| !call.is_lock() && call.name().is_some()));
            }
            let used = state
                .cpu
                .unwrap_or_default()
                .saturating_sub(*first.get_or_insert(state.cpu.unwrap_or_default()));
            if used >= COMPUTES {
                return (true, false);
            }
            if began.elapsed() >= LOOK_MAX {
                return (!used.is_zero(), false);
            }
            thread::sleep(LOOK_PAUSE);
        }
        (false, false)
    }
}

/// Seconds for which the calling thread has waited for a processor, in all. Keeps the interpreter's lock, which Python's own
/// way to read a file lets go of.
#[pyfunction]
pub(crate) fn _own_delay() -> f64 {
    own_delay().unwrap_or_default().as_secs_f64()
}

/// What the kernel says of a thread of this process; `None` if there is none of that number.
#[pyfunction]
pub(crate) fn _state_of(thread: i32) -> Option<State> {
    ThreadState::read(thread).ok().as_ref().map(state)
}

fn news(stall: Stall) -> News {
    let states = stall.states.iter().map(state).collect();
    (stall.beat, stall.duration().as_secs_f64(), stall.is_over, stall.told.elapsed().as_secs_f64(), states)
}

/// Far more than a thread needs to see that it must wait.
const COMPUTES: Duration = Duration::from_millis(3);
/// For so long the lock is kept at most, once or twice per stall.
const LOOK_MAX: Duration = Duration::from_millis(20);
const LOOK_PAUSE: Duration = Duration::from_millis(1);

fn state(state: &ThreadState) -> State {
    let letter = match state.activity {
        Activity::Running => 'R',
        Activity::Sleeping => 'S',
        Activity::Device => 'D',
        Activity::Stopped => 'T',
        Activity::Other(letter) => letter,
    };
    let in_seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let call = state.call;
    (
        letter,
        in_seconds(state.cpu),
        in_seconds(state.delayed),
        call.and_then(|call| call.name()),
        call.and_then(|call| call.descriptor()),
        call.is_some_and(|call| call.is_lock()),
    )
}
