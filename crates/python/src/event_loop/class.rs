//! `Loop`: the native base of `ourio.EventLoop`, put together from what the rooms below know.
//!
//! The loop's class knows when: when a turn begins, when what is held back leaves, when nothing is left to do. What waits
//! to run is its base's, [`Scheduler`]; every other part has a type of its own in the room that it is of.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use pyo3::PyTraverseError;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;
use pyo3::types::{PyDict, PyTuple};

use crate::boundary::errors;
use crate::boundary::heap;
use crate::boundary::lock::LockBound;
use crate::boundary::object::Object;
use crate::event_loop::registrations::Registrations;
use crate::executor::jobs::Jobs;
use crate::executor::work_queue::WorkQueue;
use crate::held::writes::HeldWrites;
use crate::queue::scheduler::Scheduler;
use crate::socket::address::Addresses;
use crate::socket::arrivals::Arrivals;
use crate::socket::last_listener::LastListener;
use crate::socket::receive_buffer::ReceiveBuffer;

/// The native event loop.
#[pyclass(module = "ourio._ourio", extends = Scheduler, frozen, subclass)]
#[derive(Debug)]
pub(crate) struct Loop {
    state: LockBound<State>,
}

#[derive(Debug, Default)]
struct State {
    registrations: RefCell<Registrations<Loop>>,
    held: HeldWrites<Loop>,
    receive_buffer: ReceiveBuffer,
    arrivals: RefCell<Arrivals>,
    addresses: Addresses,
    last_listener: LastListener,
    stopping: Cell<bool>,
    /// Set in a forked process if the loop was running when it was forked.
    orphaned: Cell<bool>,
    /// Called before a sleep that nothing of the loop's own would end.
    before_endless_sleep: RefCell<Option<Object>>,
    /// What the default executor has to do, once the loop has one of ours.
    jobs: RefCell<Option<Arc<Jobs>>>,
}

impl Loop {
    #[inline]
    pub(crate) fn registrations(&self) -> &RefCell<Registrations<Self>> {
        &self.state.registrations
    }

    /// What callbacks have written, and waits for the end of their turn.
    #[inline]
    pub(crate) fn held(&self) -> &HeldWrites<Self> {
        &self.state.held
    }

    #[inline]
    pub(crate) fn receive_buffer(&self) -> &ReceiveBuffer {
        &self.state.receive_buffer
    }

    pub(crate) fn arrivals(&self) -> &RefCell<Arrivals> {
        &self.state.arrivals
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.state.addresses
    }

    pub(crate) fn last_listener(&self) -> &LastListener {
        &self.state.last_listener
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state.stopping.get()
    }

    pub(crate) fn is_orphaned(&self) -> bool {
        self.state.orphaned.get()
    }

    /// What the threads of the default executor take their jobs from, if that is ours.
    pub(crate) fn jobs(&self) -> Option<Arc<Jobs>> {
        self.state.jobs.borrow().clone()
    }

    /// Whom to ask before a sleep that nothing of the loop's own would end.
    pub(crate) fn before_endless_sleep(&self, py: Python<'_>) -> Option<Object> {
        self.state.before_endless_sleep.borrow().as_ref().map(|asked| asked.clone_ref(py))
    }

    #[inline]
    pub(crate) fn asks_before_endless_sleep(&self) -> bool {
        self.state.before_endless_sleep.borrow().is_some()
    }
}

#[pymethods]
impl Loop {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        heap::keep_large_blocks();
        let this = Self { state: LockBound::new(State::default()) };
        Ok(PyClassInitializer::from(Scheduler::make()?).add_subclass(this))
    }

    #[getter]
    fn _stopping(&self) -> bool {
        self.state.stopping.get()
    }

    #[setter(_stopping)]
    fn set_stopping(&self, stopping: bool) {
        self.state.stopping.set(stopping);
    }

    #[getter]
    fn _before_endless_sleep(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.before_endless_sleep(py).map(|asked| asked.bind(py).clone().unbind())
    }

    #[setter(_before_endless_sleep)]
    fn set_before_endless_sleep(&self, asked: Option<Bound<'_, PyAny>>) {
        let before = self.state.before_endless_sleep.replace(asked.map(Object::from));
        drop(before);
    }

    /// Tells the loop what its default executor's threads take their jobs from.
    fn _listen_to_jobs(&self, queue: &Bound<'_, WorkQueue>) {
        self.state.jobs.replace(Some(queue.get().jobs()));
    }

    /// The descriptor to which Python writes the numbers of signals.
    fn _signal_fd(slf: &Bound<'_, Self>) -> PyResult<i32> {
        let scheduler = slf.as_super().get();
        scheduler.check_closed()?;
        let opened = scheduler.engine().borrow_mut().signals().map(|signals| signals.writer().as_raw_fd());
        opened.map_err(|error| errors::engine(&error))
    }

    /// Gives a loop that came into this process by `fork` a poller of its own. One that was running then ran in
    /// the other process, and runs no more in this one.
    fn _renew_after_fork(slf: &Bound<'_, Self>) -> PyResult<()> {
        let scheduler = slf.as_super().get();
        if scheduler.thread_id().is_some() {
            slf.get().state.orphaned.set(true);
        }
        let renewed = scheduler.engine().borrow_mut().renew_after_fork();
        renewed.map_err(|error| errors::engine(&error))
    }

    /// Drops every entry, every registration, and what the parts hold; the last step of `close()`.
    fn _release(slf: &Bound<'_, Self>) {
        slf.as_super().get().drop_entries(slf.py());
        slf.get().release();
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(registrations) = self.state.registrations.try_borrow() {
            for object in registrations.references() {
                visit.call(object.as_py())?;
            }
        }
        if let Ok(asked) = self.state.before_endless_sleep.try_borrow() {
            visit.call(asked.as_ref().map(Object::as_py))?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.release();
        let asked = self.state.before_endless_sleep.take();
        drop(asked);
    }
}

impl Loop {
    /// Gives back what the parts hold.
    fn release(&self) {
        let registrations = self.state.registrations.take();
        let held = self.state.held.release();
        self.state.receive_buffer.release();
        self.state.arrivals.take();
        self.state.jobs.take();
        // Dropped outside of every borrow: their destructors may call the loop.
        drop((registrations, held));
    }
}
