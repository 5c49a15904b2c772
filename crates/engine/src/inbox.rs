//! The inbox: the one door through which other threads reach an engine.
//!
//! Many producers, one consumer. One atomic state decides whether a wake-up is needed, so that a burst of a
//! thousand entries costs one system call, and none while the loop is busy:
//!
//! | state | meaning | producer, after its push | consumer, about to sleep |
//! |---|---|---|---|
//! | `EMPTY` | awake, nothing to take | becomes `FILLED` | becomes `ASLEEP` |
//! | `FILLED` | awake, something to take | stays | stays: it must not sleep |
//! | `ASLEEP` | sleeping, or about to | becomes `FILLED`, and rings | cannot happen |
//!
//! Every change is one read-modify-write of that one atomic, so whichever side is second sees the first,
//! and no entry is left behind by a sleeping consumer (`cargo xtask test` tries every interleaving with
//! loom). The queue itself is a mutex around a vector that the consumer swaps out whole: the lock is held
//! for one push, and one allocation serves a burst. A lock-free queue allocates per block and saves
//! nothing while the consumer takes everything at once.

use std::fmt;

#[cfg(loom)]
use loom::sync::{
    Mutex,
    atomic::{AtomicU8, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Mutex,
    atomic::{AtomicU8, Ordering},
};

#[cfg(loom)]
pub(crate) use loom::sync::Arc;
#[cfg(not(loom))]
pub(crate) use std::sync::Arc;

use crate::poll::Bell;

/// The engine is closed; the entry comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed<C>(pub C);

/// What rings when a sleeping consumer must wake.
pub(crate) trait Ring {
    fn ring(&self);
}

impl Ring for Bell {
    fn ring(&self) {
        Self::ring(self);
    }
}

/// The handle to an engine for other threads: it can enqueue and wake, and nothing else.
///
/// # Threads
///
/// `Send + Sync` where the payload is `Send`. Entries of one thread arrive in the order in which it sent
/// them. [`Remote::wake`] is safe in a signal handler, [`Remote::send`] is not: it takes a lock.
pub struct Remote<C> {
    inbox: Arc<Inbox<C, Bell>>,
}

impl<C> Remote<C> {
    pub(crate) fn new(inbox: Arc<Inbox<C, Bell>>) -> Self {
        Self { inbox }
    }

    /// Sends an entry and wakes the loop if it sleeps.
    ///
    /// # Errors
    ///
    /// [`Closed`] with the entry, once the engine has been closed or dropped.
    pub fn send(&self, entry: C) -> Result<(), Closed<C>> {
        self.inbox.send(entry)
    }

    /// Ends the loop's sleep, or its next one, without an entry.
    pub fn wake(&self) {
        self.inbox.wake();
    }

    /// Ends the loop's sleep, for who has changed under a lock what the loop looks at, under the same lock, before it
    /// sleeps: if it does not sleep now, it will see that.
    pub fn wake_if_asleep(&self) {
        self.inbox.wake_if_asleep();
    }

    /// Whether the loop sleeps, or is about to, and nobody has woken it yet.
    pub fn is_asleep(&self) -> bool {
        self.inbox.is_asleep()
    }
}

impl<C> Clone for Remote<C> {
    fn clone(&self) -> Self {
        Self { inbox: Arc::clone(&self.inbox) }
    }
}

impl<C> fmt::Debug for Remote<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

const EMPTY: u8 = 0;
const FILLED: u8 = 1;
const ASLEEP: u8 = 2;

#[derive(Debug)]
pub(crate) struct Inbox<C, B> {
    /// `None` once the consumer is gone.
    queue: Mutex<Option<Vec<C>>>,
    /// One of the three states of the module's table.
    state: AtomicU8,
    bell: B,
}

impl<C, B: Ring> Inbox<C, B> {
    pub(crate) fn new(bell: B) -> Self {
        Self { queue: Mutex::new(Some(Vec::new())), state: AtomicU8::new(EMPTY), bell }
    }

    pub(crate) fn send(&self, entry: C) -> Result<(), Closed<C>> {
        match &mut *self.lock() {
            Some(queue) => queue.push(entry),
            None => return Err(Closed(entry)),
        }
        self.wake();
        Ok(())
    }

    pub(crate) fn bell(&self) -> &B {
        &self.bell
    }

    /// Has the consumer look: there is something to take, or something else to see.
    pub(crate) fn wake(&self) {
        if self.state.swap(FILLED, Ordering::AcqRel) == ASLEEP {
            self.bell.ring();
        }
    }

    /// The same where a lock orders us and the consumer's announcement of a sleep: a load in place of a swap.
    pub(crate) fn wake_if_asleep(&self) {
        if self.state.load(Ordering::Relaxed) == ASLEEP {
            self.wake();
        }
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.state.load(Ordering::Acquire) == ASLEEP
    }

    /// Announces a sleep; `false` if there is something to take instead.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.state.compare_exchange(EMPTY, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Ends a sleep that no producer has ended.
    pub(crate) fn wake_up(&self) {
        // A failure means that it is awake already.
        let _ = self.state.compare_exchange(ASLEEP, EMPTY, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether there may be something to take. One load on the path of every turn.
    #[inline]
    pub(crate) fn is_filled(&self) -> bool {
        self.state.load(Ordering::Acquire) == FILLED
    }

    /// Takes everything into `into`, which is empty, in order of arrival.
    pub(crate) fn take(&self, into: &mut Vec<C>) {
        // Before the queue is looked at: an entry pushed after the look then sets the state again.
        self.state.swap(EMPTY, Ordering::AcqRel);
        if let Some(queue) = &mut *self.lock() {
            std::mem::swap(queue, into);
        }
    }

    /// Refuses all that comes from here on, and returns what is left.
    pub(crate) fn close(&self) -> Vec<C> {
        self.lock().take().unwrap_or_default()
    }

    #[cfg(not(loom))]
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<C>>> {
        // Nothing can panic between taking and releasing the lock but an allocation failure, which aborts.
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(loom)]
    fn lock(&self) -> loom::sync::MutexGuard<'_, Option<Vec<C>>> {
        self.queue.lock().expect("loom runs no panicking producer")
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::Condvar;
    use loom::thread;

    /// A bell that a model can wait for.
    #[derive(Default)]
    struct Doorbell {
        rung: Mutex<bool>,
        changed: Condvar,
    }

    impl Ring for Doorbell {
        fn ring(&self) {
            *self.rung.lock().expect("no panics") = true;
            self.changed.notify_all();
        }
    }

    impl Doorbell {
        fn wait(&self) {
            let mut rung = self.rung.lock().expect("no panics");
            while !*rung {
                rung = self.changed.wait(rung).expect("no panics");
            }
            *rung = false;
        }
    }

    /// Loom reports a deadlock if a wake-up can be lost.
    #[test]
    fn no_entry_is_left_behind_by_a_sleeping_consumer() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new(Doorbell::default()));
            let producers: Vec<_> = (0..2)
                .map(|n| {
                    let inbox = Arc::clone(&inbox);
                    thread::spawn(move || inbox.send(n).expect("open"))
                })
                .collect();
            let mut received = Vec::new();
            while received.len() < 2 {
                if inbox.fall_asleep() {
                    inbox.bell.wait();
                }
                inbox.wake_up();
                if inbox.is_filled() {
                    let mut batch = Vec::new();
                    inbox.take(&mut batch);
                    received.append(&mut batch);
                }
            }
            received.sort_unstable();
            assert_eq!(received, [0, 1]);
            for producer in producers {
                producer.join().expect("no panics");
            }
        });
    }

    /// What Python's threads do: they change the ready queue itself, under the lock that the loop has when it looks at the
    /// queue and falls asleep.
    #[test]
    fn what_is_left_under_a_lock_is_not_slept_through() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::<(), _>::new(Doorbell::default()));
            let queue = Arc::new(Mutex::new(0));
            let producer = {
                let (inbox, queue) = (Arc::clone(&inbox), Arc::clone(&queue));
                thread::spawn(move || {
                    for _ in 0..2 {
                        let mut queue = queue.lock().expect("no panics");
                        *queue += 1;
                        inbox.wake_if_asleep();
                    }
                })
            };
            let mut seen = 0;
            while seen < 2 {
                let sleeps = {
                    let mut queue = queue.lock().expect("no panics");
                    seen += std::mem::take(&mut *queue);
                    seen < 2 && inbox.fall_asleep()
                };
                if sleeps {
                    inbox.bell.wait();
                }
                inbox.wake_up();
                if inbox.is_filled() {
                    inbox.take(&mut Vec::new());
                }
            }
            producer.join().expect("no panics");
        });
    }

    #[test]
    fn an_entry_is_either_taken_or_given_back_when_the_engine_closes() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new(Doorbell::default()));
            let sender = Arc::clone(&inbox);
            let producer = thread::spawn(move || sender.send(7));
            let left = inbox.close();
            match producer.join().expect("no panics") {
                Ok(()) => assert_eq!(left, [7]),
                Err(Closed(entry)) => assert_eq!((entry, left.len()), (7, 0)),
            }
        });
    }
}
