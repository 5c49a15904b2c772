//! `Jobs`: what threads know of an executor's queue without the interpreter's lock.
//!
//! A thread that waits for a job does so awake for a moment ([`ourio_engine::AdaptiveSpin`]), then asleep; and the loop knows whether
//! a job is under way, which may be worth staying awake for.
//!
//! Nothing is locked while a thread sleeps or wakes another, so that a forked process finds nothing locked either.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Instant;

use ourio_engine::{AdaptiveSpin, Events, Remote, Wait, spin_until};
use pyo3::prelude::*;
use rustix::thread::futex;

use crate::executor::lock_holder;

/// How many times this process has been forked from another: what is left of the other's threads is told by it.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// For a forked process, which has none of the threads that may have been awake for a job.
#[pyfunction]
pub(crate) fn _renew_work_queues() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// What threads know of a queue without the interpreter's lock.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// Jobs in the queue. It changes with the queue, under the interpreter's lock.
    waiting: AtomicU32,
    /// Jobs that a thread has taken, and is not back from.
    in_hand: AtomicUsize,
    /// Threads that sleep, or are about to.
    sleepers: AtomicU32,
    /// Changes when a sleeper is woken: what it sleeps on.
    bell: AtomicU32,
    /// The one thread that stays awake for the next job: one more than `FORKS`, or none.
    awake: AtomicU32,
    worker_spin: AdaptiveSpin,
    loop_spin: AdaptiveSpin,
}

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// There was a job: whoever comes first has it.
    ForJob,
    /// A signal came: Python may have something to say to it.
    ForSignal,
    InVain,
}

impl Jobs {
    /// Waits for the loop's next event: awake for a moment, if a job is under way that may be done by then.
    pub(crate) fn block<C>(&self, wait: Wait, remote: &Remote<C>) -> ourio_engine::Result<Events> {
        let (events, is_in_time) = self.loop_spin.block(wait, remote, || self.is_under_way())?;
        if is_in_time {
            lock_holder::until_free();
        }
        Ok(events)
    }

    fn is_under_way(&self) -> bool {
        self.has_some() || self.in_hand.load(Ordering::Relaxed) > 0
    }

    // The order of `waiting` beside `sleepers` and `awake` is that of all operations on them, here and below: either who
    // puts a job into the queue sees who waits, or who is about to wait sees the job.

    fn has_some(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// A job has been put into the queue.
    pub(crate) fn added(&self) {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        let is_awake = self.awake.load(Ordering::SeqCst) == mark();
        if waiting > u32::from(is_awake) && self.sleepers.load(Ordering::SeqCst) > 0 {
            self.bell.fetch_add(1, Ordering::SeqCst);
            // It can only fail for an address that is none.
            let _ = futex::wake(&self.bell, futex::Flags::PRIVATE, 1);
        }
    }

    /// A job has been taken out of the queue.
    pub(crate) fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// The queue has been emptied.
    pub(crate) fn forgotten(&self) {
        self.waiting.store(0, Ordering::SeqCst);
    }

    /// Waits for a job, without the interpreter's lock.
    pub(crate) fn wait(&self, until: Option<Instant>) -> Waited {
        if self.worker_spin.tries() && self.claim_awake() {
            let good = spin_until(|| self.has_some());
            self.awake.store(0, Ordering::SeqCst);
            self.worker_spin.was(good);
            if good {
                lock_holder::until_free();
                return Waited::ForJob;
            }
        }
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let outcome = self.sleep(until);
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        outcome
    }

    fn claim_awake(&self) -> bool {
        let other = self.awake.load(Ordering::Relaxed);
        let claim = |other| self.awake.compare_exchange(other, mark(), Ordering::SeqCst, Ordering::Relaxed);
        other != mark() && claim(other).is_ok()
    }

    fn sleep(&self, until: Option<Instant>) -> Waited {
        loop {
            // Before the look: a bell that rings after it ends the sleep that follows, or lets it not begin.
            let bell = self.bell.load(Ordering::SeqCst);
            if self.has_some() {
                return Waited::ForJob;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Waited::InVain;
            }
            let left = left.and_then(|left| futex::Timespec::try_from(left).ok());
            if futex::wait(&self.bell, futex::Flags::PRIVATE, bell, left.as_ref())
                == Err(rustix::io::Errno::INTR)
            {
                return Waited::ForSignal;
            }
        }
    }
}

/// What `Jobs::awake` is while one of this process's threads is.
fn mark() -> u32 {
    FORKS.load(Ordering::Relaxed).wrapping_add(1)
}

thread_local! {
    /// What this thread has taken, and does.
    static IN_HAND: RefCell<Option<InHand>> = const { RefCell::new(None) };
}

/// A job that a thread has taken; until it asks for the next, or ends.
pub(crate) struct InHand(Arc<Jobs>);

impl InHand {
    /// This thread has a job of a queue in its hands from now on.
    pub(crate) fn take(jobs: &Arc<Jobs>) {
        jobs.in_hand.fetch_add(1, Ordering::Relaxed);
        IN_HAND.set(Some(Self(Arc::clone(jobs))));
    }

    /// This thread is done with what it had in its hands.
    pub(crate) fn put_down() {
        drop(IN_HAND.take());
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}
