//! `Handle`: what `call_soon` returns, and the base of the other two.
//!
//! It answers `isinstance` as asyncio's own class does, through `__class__`, which `isinstance` falls back
//! on, without carrying that class's ten slots. The text form is asyncio's own function.

use std::cell::{Cell, RefCell};

use ourio_engine::{Place, TimerId};
use pyo3::PyTraverseError;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;
use pyo3::types::PyTuple;

use crate::boundary::context;
use crate::boundary::lock::LockBound;
use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::queue::callback::Callback;
use crate::queue::ready_callback;
use crate::queue::report::report;
use crate::queue::scheduler::Scheduler;

/// A callback that can be cancelled until it runs.
#[pyclass(module = "ourio", frozen, subclass, weakref)]
#[derive(Debug)]
pub(crate) struct Handle {
    state: LockBound<State>,
}

#[derive(Debug)]
struct State {
    event_loop: Object,
    /// There until the handle is cancelled; while it is called it stays, whoever cancels meanwhile.
    callback: RefCell<Option<Callback>>,
    phase: Cell<Phase>,
    seat: Cell<Seat>,
    /// Debug mode's, so that other handles do not carry its fields.
    debug: Option<Box<Debug>>,
}

/// How far a handle has come. It changes in `run` and in `cancel` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has not run, or has, and may be run again by hand.
    Waiting,
    /// The callback is being called.
    Running,
    Cancelled,
    CancelledWhileRunning,
}

/// Where a handle, or its callback, waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    /// In none that it knows: with a descriptor, or nowhere.
    None,
    /// It waits itself, in the ready queue.
    Ready(Place),
    /// Its callback waits without it, in the ready queue.
    CallbackReady(Place),
    /// Among the timers; until it is cancelled.
    Timer(TimerId),
}

impl Seat {
    /// The place in the ready queue.
    fn place(self) -> Place {
        match self {
            Self::Ready(place) | Self::CallbackReady(place) => place,
            Self::None | Self::Timer(_) => Place::default(),
        }
    }
}

#[derive(Debug)]
struct Debug {
    source_traceback: Object,
    /// The text form at the time of cancelling, because the callback goes.
    text: RefCell<Option<Object>>,
}

impl Handle {
    pub(crate) fn new(
        event_loop: &Bound<'_, Scheduler>,
        callback: Callback,
        source_traceback: Option<Object>,
    ) -> Self {
        let state = State {
            event_loop: event_loop.clone().into(),
            callback: RefCell::new(Some(callback)),
            phase: Cell::new(Phase::Waiting),
            seat: Cell::new(Seat::None),
            debug: source_traceback
                .map(|source_traceback| Box::new(Debug { source_traceback, text: RefCell::new(None) })),
        };
        Self { state: LockBound::new(state) }
    }

    /// It, or its callback, waits there from now on.
    #[inline]
    pub(crate) fn take_seat(&self, seat: Seat) {
        self.state.seat.set(seat);
    }

    /// The place of its callback, or of itself, in the ready queue.
    pub(crate) fn place(&self) -> Place {
        self.state.seat.get().place()
    }

    /// The timer that it is, unless it was cancelled.
    pub(crate) fn timer(&self) -> Option<TimerId> {
        match self.state.seat.get() {
            Seat::Timer(id) => Some(id),
            Seat::None | Seat::Ready(_) | Seat::CallbackReady(_) => None,
        }
    }

    fn stands_for_the_same(&self, other: &Self) -> bool {
        matches!(self.state.seat.get(), Seat::CallbackReady(_))
            && self.state.seat.get() == other.state.seat.get()
            && self.state.event_loop.as_ptr() == other.state.event_loop.as_ptr()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self.state.phase.get(), Phase::Cancelled | Phase::CancelledWhileRunning)
    }

    /// What it will call, or calls; `None` once cancelled.
    pub(crate) fn function<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.callback.borrow().as_ref().map(|callback| callback.function.bind(py).clone())
    }

    /// Runs the callback; it may cancel its own handle meanwhile.
    ///
    /// The callback is lent out while Python runs, which everything else here respects: it looks only, or leaves
    /// the callback where it is. Three references less per call.
    #[inline]
    pub(crate) fn run(&self, py: Python<'_>) -> PyResult<()> {
        let before = self.state.phase.replace(Phase::Running);
        let outcome = match self.state.callback.borrow().as_ref() {
            Some(callback) => callback.run(py),
            None => Ok(()),
        };
        match self.state.phase.replace(before) {
            Phase::CancelledWhileRunning if before == Phase::Waiting => {
                self.state.phase.set(Phase::Cancelled);
                // Dropped when nothing is borrowed: it may run the program's own code.
                let callback = self.state.callback.take();
                drop(callback);
            }
            // Called by hand from within itself.
            Phase::CancelledWhileRunning => self.state.phase.set(Phase::CancelledWhileRunning),
            Phase::Waiting | Phase::Running | Phase::Cancelled => {}
        }
        outcome
    }

    /// The loop runs it: timed in debug mode, and what it raises is reported.
    pub(crate) fn run_by_loop(slf: &Bound<'_, Self>, scheduler: &Bound<'_, Scheduler>) -> PyResult<()> {
        if slf.get().is_cancelled() {
            return Ok(());
        }
        if scheduler.get().is_debug() {
            scheduler.call_method1("_run_timed", (slf,))?;
            return Ok(());
        }
        match slf.get().run(slf.py()) {
            Ok(()) => Ok(()),
            Err(error) => report(scheduler, slf.as_any(), error),
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(callback) = self.state.callback.try_borrow() {
            for object in callback.iter().flat_map(Callback::references) {
                visit.call(object.as_py())?;
            }
        }
        visit.call(self.state.event_loop.as_py())?;
        visit.call(self.state.debug.as_ref().map(|debug| debug.source_traceback.as_py()))
    }

    /// A cancelled handle shows none, though the one that runs is still there.
    fn shows_callback(&self) -> bool {
        self.state.phase.get() != Phase::CancelledWhileRunning
    }

    pub(crate) fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Scheduler>> {
        Ok(self.state.event_loop.bind(py).cast::<Scheduler>()?.clone())
    }

    fn in_debug_mode(&self, py: Python<'_>) -> bool {
        self.event_loop(py).is_ok_and(|event_loop| event_loop.get().is_debug())
    }
}

#[pymethods]
impl Handle {
    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(names()?.handle.bind(py).clone())
    }

    /// Cancels the callback; nothing happens if it has run or was cancelled.
    #[pyo3(name = "cancel")]
    pub(crate) fn cancel_py(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.is_cancelled() {
            return Ok(());
        }
        let running = this.state.phase.replace(Phase::Cancelled) == Phase::Running;
        if this.in_debug_mode(py)
            && let Some(debug) = &this.state.debug
        {
            let text = slf.repr()?;
            debug.text.replace(Some(text.into()));
        }
        if running {
            this.state.phase.set(Phase::CancelledWhileRunning);
            return Ok(());
        }
        // Taken out first: dropping it may run the program's own code.
        let entry = match this.state.seat.get() {
            Seat::CallbackReady(place) => ready_callback::take_out(this.event_loop(py)?.get(), place),
            Seat::None | Seat::Ready(_) | Seat::Timer(_) => None,
        };
        let callback = this.state.callback.take();
        drop((entry, callback));
        Ok(())
    }

    /// Whether the handle was cancelled.
    fn cancelled(&self) -> bool {
        self.is_cancelled()
    }

    /// The context in which the callback runs.
    fn get_context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self._context(py)
    }

    fn _run(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let Err(error) = this.run(slf.py()) else { return Ok(()) };
        report(&this.event_loop(slf.py())?, slf.as_any(), error)
    }

    #[getter]
    fn _callback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let callback = self.state.callback.borrow();
        callback
            .as_ref()
            .filter(|_| self.shows_callback())
            .map(|callback| callback.function.bind(py).clone().unbind())
    }

    #[getter]
    fn _args<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        // Not borrowed while a tuple is made: that may collect garbage, which may cancel this handle.
        let callback = self.state.callback.borrow().as_ref().map(|callback| callback.clone_ref(py));
        let callback = callback.filter(|_| self.shows_callback());
        callback.map(|callback| callback.arguments.to_tuple(py)).transpose()
    }

    #[getter]
    fn _context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let callback = self.state.callback.borrow().as_ref().map(|callback| callback.clone_ref(py))?;
        // One is made for those who ask, as any would do.
        let context = callback.context.map_or_else(|| context::copy_current(py), Ok).ok()?;
        Some(context.bind(py).clone().unbind())
    }

    #[getter]
    fn _cancelled(&self) -> bool {
        self.is_cancelled()
    }

    #[getter]
    fn _loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Scheduler>> {
        self.event_loop(py)
    }

    #[getter]
    fn _repr(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let text = self.state.debug.as_ref()?.text.borrow();
        text.as_ref().map(|text| text.bind(py).clone().unbind())
    }

    #[getter]
    fn _source_traceback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.debug.as_ref().map(|debug| debug.source_traceback.bind(py).clone().unbind())
    }

    fn _repr_info<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        names()?.handle.bind(slf.py()).call_method1("_repr_info", (slf,))
    }

    fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        names()?.handle.bind(slf.py()).call_method1("__repr__", (slf,))
    }

    /// The loop makes a handle for what it holds without one: both stand for the same place in the queue.
    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> bool {
        slf.is(other) || other.cast::<Self>().is_ok_and(|other| slf.get().stands_for_the_same(other.get()))
    }

    fn __hash__(slf: &Bound<'_, Self>) -> u64 {
        match slf.get().state.seat.get() {
            Seat::CallbackReady(place) => place.number(),
            Seat::None | Seat::Ready(_) | Seat::Timer(_) => slf.as_ptr().addr() as u64,
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.traverse(&visit)
    }

    fn __clear__(&self) {
        // A callback that is being called is not garbage.
        let callback = self.state.callback.try_borrow_mut().ok().and_then(|mut callback| callback.take());
        drop(callback);
    }
}
