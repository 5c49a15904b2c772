//! `WorkQueue`: in the place of the `queue.SimpleQueue` of the loop's default executor.
//!
//! The executor is Python's own `ThreadPoolExecutor`, with its threads and all that it promises; only how a thread waits
//! for its next job is ours: without the interpreter's lock, awake for a moment ([`ourio_engine::Luck`]), then asleep. And
//! the loop knows from it whether a job is under way, which may be worth staying awake for.
//!
//! Nothing is locked while a thread sleeps or wakes another, so that a forked process finds nothing locked either.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ourio_engine::{Events, Luck, Remote, Wait, stay_awake_until};
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use rustix::thread::futex;

use crate::boundary::lock::GilBound;
use crate::boundary::names::known;
use crate::boundary::object::Object;
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
    worker_luck: Luck,
    loop_luck: Luck,
}

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// There was a job: whoever comes first has it.
    ForJob,
    /// A signal came: Python may have something to say to it.
    ForSignal,
    InVain,
}

impl Jobs {
    /// Waits for the loop's next event: awake for a moment, if a job is under way that may be done by then.
    pub(crate) fn block<C>(&self, wait: Wait, remote: &Remote<C>) -> ourio_engine::Result<Events> {
        let (events, is_in_time) = self.loop_luck.block(wait, remote, || self.is_under_way())?;
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
    fn added(&self) {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        let is_awake = self.awake.load(Ordering::SeqCst) == mark();
        if waiting > u32::from(is_awake) && self.sleepers.load(Ordering::SeqCst) > 0 {
            self.bell.fetch_add(1, Ordering::SeqCst);
            // It can only fail for an address that is none.
            let _ = futex::wake(&self.bell, futex::Flags::PRIVATE, 1);
        }
    }

    /// Waits for a job, without the interpreter's lock.
    fn wait(&self, until: Option<Instant>) -> Waited {
        if self.worker_luck.tries() && self.claim_awake() {
            let good = stay_awake_until(|| self.has_some());
            self.awake.store(0, Ordering::SeqCst);
            self.worker_luck.was(good);
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
struct InHand(Arc<Jobs>);

impl InHand {
    fn new(jobs: &Arc<Jobs>) -> Self {
        jobs.in_hand.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(jobs))
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An unbounded queue of what the threads of an executor are to do, first in, first out; as `queue.SimpleQueue`.
///
/// May be used from any thread, and from within a collection of garbage.
#[pyclass(module = "ourio._ourio", frozen, weakref)]
pub(crate) struct WorkQueue {
    items: GilBound<RefCell<VecDeque<Object>>>,
    jobs: Arc<Jobs>,
}

impl fmt::Debug for WorkQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

#[pymethods]
impl WorkQueue {
    #[new]
    fn new() -> Self {
        Self { items: GilBound::new(RefCell::default()), jobs: Arc::default() }
    }

    /// Appends an item. `block` and `timeout` are as for other queues: it never waits.
    #[pyo3(signature = (item, block = true, timeout = None))]
    fn put(&self, item: Bound<'_, PyAny>, block: bool, timeout: Option<Bound<'_, PyAny>>) {
        let _ = (block, timeout);
        self.items.borrow_mut().push_back(item.into());
        self.jobs.added();
    }

    /// Appends an item.
    fn put_nowait(&self, item: Bound<'_, PyAny>) {
        self.put(item, false, None);
    }

    /// Takes the first item; waits for one for at most `timeout` seconds, or without an end.
    ///
    /// Raises `queue.Empty` if there was none.
    #[pyo3(signature = (block = true, timeout = None))]
    fn get<'py>(&self, py: Python<'py>, block: bool, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let until = timeout.filter(|_| block).map(deadline).transpose()?;
        loop {
            if let Some(item) = self.take(py) {
                return Ok(item);
            }
            if !block {
                return Err(empty(py));
            }
            match lock_holder::without_the_lock(py, || self.jobs.wait(until)) {
                Waited::ForJob => {}
                Waited::ForSignal => py.check_signals()?,
                Waited::InVain => return self.take(py).ok_or_else(|| empty(py)),
            }
        }
    }

    /// Takes the first item, or raises `queue.Empty`.
    fn get_nowait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.take(py).ok_or_else(|| empty(py))
    }

    /// How many items there are.
    fn qsize(&self) -> usize {
        self.items.borrow().len()
    }

    /// Whether there is none.
    fn empty(&self) -> bool {
        self.items.borrow().is_empty()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(items) = self.items.try_borrow() {
            for item in &*items {
                visit.call(item.as_py())?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.jobs.waiting.store(0, Ordering::SeqCst);
        let items = self.items.take();
        // Its items may have something to do when they end, with the queue, too.
        drop(items);
    }
}

impl WorkQueue {
    pub(crate) fn jobs(&self) -> Arc<Jobs> {
        Arc::clone(&self.jobs)
    }

    /// Takes the first item. A thread that asks for one is done with that before.
    fn take<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        drop(IN_HAND.take());
        let item = self.items.borrow_mut().pop_front()?;
        // `None` is no job: it tells a thread that it may end.
        if !item.bind(py).is_none() {
            IN_HAND.set(Some(InHand::new(&self.jobs)));
        }
        self.jobs.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(item.bind(py).clone())
    }
}

/// When that many seconds will have passed.
fn deadline(timeout: f64) -> PyResult<Instant> {
    if timeout < 0.0 {
        return Err(PyValueError::new_err("'timeout' must be a non-negative number"));
    }
    if timeout.is_nan() {
        return Err(PyValueError::new_err("Invalid value NaN (not a number)"));
    }
    let timeout = Duration::try_from_secs_f64(timeout).ok();
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    until.ok_or_else(|| PyOverflowError::new_err("timeout value is too large"))
}

fn empty(py: Python<'_>) -> PyErr {
    let error = known().and_then(|known| known.queue_empty.call0(py));
    error.map_or_else(|error| error, |error| PyErr::from_value(error.bind(py).clone()))
}
