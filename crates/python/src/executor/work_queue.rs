//! `WorkQueue`: in the place of the `queue.SimpleQueue` of the loop's default executor.
//!
//! The executor is Python's own `ThreadPoolExecutor`, with its threads and all that it promises; only how a thread waits
//! for its next job is ours: [`Jobs`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::boundary::lock::LockBound;
use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::executor::jobs::{InHand, Jobs, Waited};
use crate::executor::lock_holder;

/// An unbounded queue of what the threads of an executor are to do, first in, first out; as `queue.SimpleQueue`.
///
/// May be used from any thread, and from within a collection of garbage.
#[pyclass(module = "ourio._ourio", frozen, weakref)]
pub(crate) struct WorkQueue {
    items: LockBound<RefCell<VecDeque<Object>>>,
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
        Self { items: LockBound::new(RefCell::default()), jobs: Arc::default() }
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
        self.jobs.forgotten();
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
        InHand::put_down();
        let item = self.items.borrow_mut().pop_front()?;
        // `None` is no job: it tells a thread that it may end.
        if !item.bind(py).is_none() {
            InHand::take(&self.jobs);
        }
        self.jobs.taken();
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
    let error = names().and_then(|names| names.queue_empty.call0(py));
    error.map_or_else(|error| error, |error| PyErr::from_value(error.bind(py).clone()))
}
