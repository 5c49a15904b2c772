//! `Handle` and `TimerHandle`: what `call_soon` and `call_later` return.
//!
//! They answer `isinstance` as asyncio's own classes do, through `__class__`, which `isinstance` falls back
//! on, without carrying those classes' ten slots. The text forms are asyncio's own functions.

use std::cell::{Cell, RefCell};

use ourio_engine::{Place, TimerId};
use pyo3::PyTraverseError;
use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;
use pyo3::types::{PyBool, PyTuple};

use crate::boundary::context;
use crate::boundary::garbage;
use crate::boundary::lock::GilBound;
use crate::boundary::names::known;
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::queue::call_soon::thread_identifier;
use crate::queue::callback::Callback;
use crate::queue::ready_callback;

/// A callback that can be cancelled until it runs.
#[pyclass(module = "ourio", frozen, subclass, weakref)]
#[derive(Debug)]
pub(crate) struct Handle {
    state: GilBound<State>,
}

#[derive(Debug)]
struct State {
    event_loop: Object,
    /// `None` once cancelled.
    callback: RefCell<Option<Callback>>,
    life: Cell<Life>,
    /// Whether it is not the handle that waits in the ready queue, but its callback, at this place.
    is_posted: Cell<bool>,
    place: Cell<Place>,
    /// Debug mode's, so that other handles do not carry its fields.
    debug: Option<Box<Debug>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Waiting,
    /// The callback is being called: it stays in its place, whoever cancels meanwhile.
    Running,
    Cancelled,
    CancelledWhileRunning,
}

#[derive(Debug)]
struct Debug {
    source_traceback: Object,
    /// The text form at the time of cancelling, because the callback goes.
    text: RefCell<Option<Object>>,
}

impl Handle {
    pub(crate) fn new(
        event_loop: &Bound<'_, Loop>,
        callback: Callback,
        source_traceback: Option<Object>,
    ) -> Self {
        let state = State {
            event_loop: event_loop.clone().into(),
            callback: RefCell::new(Some(callback)),
            life: Cell::new(Life::Waiting),
            is_posted: Cell::new(false),
            place: Cell::default(),
            debug: source_traceback
                .map(|source_traceback| Box::new(Debug { source_traceback, text: RefCell::new(None) })),
        };
        Self { state: GilBound::new(state) }
    }

    /// Its callback waits in the ready queue without it.
    #[inline]
    pub(crate) fn set_place(&self, place: Place) {
        self.state.is_posted.set(true);
        self.note_place(place);
    }

    /// It waits itself in the ready queue.
    #[inline]
    pub(crate) fn note_place(&self, place: Place) {
        self.state.place.set(place);
    }

    /// The place of its callback, or of itself, in the ready queue.
    pub(crate) fn place(&self) -> Place {
        self.state.place.get()
    }

    fn stands_for_the_same(&self, other: &Self) -> bool {
        self.state.is_posted.get()
            && other.state.is_posted.get()
            && self.place() == other.place()
            && self.state.event_loop.as_ptr() == other.state.event_loop.as_ptr()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self.state.life.get(), Life::Cancelled | Life::CancelledWhileRunning)
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
        let before = self.state.life.replace(Life::Running);
        let outcome = match self.state.callback.borrow().as_ref() {
            Some(callback) => callback.run(py),
            None => Ok(()),
        };
        match self.state.life.replace(before) {
            Life::CancelledWhileRunning if before == Life::Waiting => {
                self.state.life.set(Life::Cancelled);
                // Dropped when nothing is borrowed: it may run the program's own code.
                let callback = self.state.callback.take();
                drop(callback);
            }
            // Called by hand from within itself.
            Life::CancelledWhileRunning => self.state.life.set(Life::CancelledWhileRunning),
            Life::Waiting | Life::Running | Life::Cancelled => {}
        }
        outcome
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
        self.state.life.get() != Life::CancelledWhileRunning
    }

    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Loop>> {
        Ok(self.state.event_loop.bind(py).cast::<Loop>()?.clone())
    }

    fn in_debug_mode(&self, py: Python<'_>) -> bool {
        self.event_loop(py).is_ok_and(|event_loop| event_loop.get().is_debug())
    }
}

#[pymethods]
impl Handle {
    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(known()?.handle.bind(py).clone())
    }

    /// Cancels the callback; nothing happens if it has run or was cancelled.
    #[pyo3(name = "cancel")]
    fn cancel_py(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.is_cancelled() {
            return Ok(());
        }
        let running = this.state.life.replace(Life::Cancelled) == Life::Running;
        if this.in_debug_mode(py)
            && let Some(debug) = &this.state.debug
        {
            let text = slf.repr()?;
            debug.text.replace(Some(text.into()));
        }
        if running {
            this.state.life.set(Life::CancelledWhileRunning);
            return Ok(());
        }
        // Taken out first: dropping it may run the program's own code.
        let entry = if this.state.is_posted.get() {
            ready_callback::take_out(this.event_loop(py)?.get(), this.place())
        } else {
            None
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
        crate::event_loop::turn::report(&this.event_loop(slf.py())?, slf.as_any(), error)
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
    fn _loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Loop>> {
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
        known()?.handle.bind(slf.py()).call_method1("_repr_info", (slf,))
    }

    fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        known()?.handle.bind(slf.py()).call_method1("__repr__", (slf,))
    }

    /// The loop makes a handle for what it holds without one: both stand for the same place in the queue.
    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> bool {
        slf.is(other) || other.cast::<Self>().is_ok_and(|other| slf.get().stands_for_the_same(other.get()))
    }

    fn __hash__(slf: &Bound<'_, Self>) -> u64 {
        let this = slf.get();
        if this.state.is_posted.get() { this.place().number() } else { slf.as_ptr().addr() as u64 }
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

/// A handle that several threads may hold: while its callback runs, others wait for the end of it.
///
/// asyncio: since 3.14 `cancelled()` and `cancel()` of a handle from `call_soon_threadsafe` do not answer in the
/// middle of the callback.
#[pyclass(module = "ourio", frozen, extends = Handle)]
#[derive(Debug)]
pub(crate) struct ThreadSafeHandle;

impl ThreadSafeHandle {
    pub(crate) fn over(handle: Handle) -> PyClassInitializer<Self> {
        PyClassInitializer::from(handle).add_subclass(Self)
    }

    fn wait_if_running_elsewhere(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, me) = (slf.py(), thread_identifier());
        let handle = slf.as_super().get();
        let event_loop = handle.event_loop(py)?;
        let this = event_loop.get();
        let runs_elsewhere = || {
            this.guarded().get() == handle.place()
                && this.guard_runner().get().is_some_and(|runner| runner != me)
        };
        while runs_elsewhere() {
            let existing = this.guard_ended().borrow().as_ref().map(|ended| ended.bind(py).clone());
            let Some(ended) = existing else {
                let made = py.import("threading")?.getattr("Event")?.call0()?;
                // Other threads ran meanwhile: one of them may have made it too, or the callback has ended.
                if this.guard_ended().borrow().is_none() && runs_elsewhere() {
                    this.guard_ended().replace(Some(made.into()));
                }
                continue;
            };
            ended.call_method0("wait")?;
        }
        Ok(())
    }
}

#[pymethods]
impl ThreadSafeHandle {
    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let known = known()?;
        Ok(known.thread_safe_handle.as_ref().unwrap_or(&known.handle).bind(py).clone())
    }

    /// Cancels the callback. From another thread than the loop's, a callback that runs is waited for.
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::wait_if_running_elsewhere(slf)?;
        Handle::cancel_py(slf.as_super())
    }

    /// Whether the handle was cancelled. From another thread, a callback that runs is waited for.
    fn cancelled(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::wait_if_running_elsewhere(slf)?;
        Ok(slf.as_super().get().is_cancelled())
    }
}

/// A handle with a deadline.
#[pyclass(module = "ourio", frozen, extends = Handle)]
#[derive(Debug)]
pub(crate) struct TimerHandle {
    /// The deadline in seconds of `loop.time()`, as it was asked for.
    when: f64,
    /// `None` before it is scheduled and once it is cancelled.
    id: GilBound<Cell<Option<TimerId>>>,
}

impl TimerHandle {
    pub(crate) fn new(when: f64) -> Self {
        Self { when, id: GilBound::new(Cell::new(None)) }
    }

    pub(crate) fn set_id(&self, id: TimerId) {
        self.id.set(Some(id));
    }
}

#[pymethods]
impl TimerHandle {
    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(known()?.timer_handle.bind(py).clone())
    }

    /// The deadline in seconds of `loop.time()`.
    fn when(&self) -> f64 {
        self.when
    }

    #[getter]
    fn _when(&self) -> f64 {
        self.when
    }

    #[getter]
    fn _scheduled(slf: &Bound<'_, Self>) -> bool {
        let Some(id) = slf.get().id.get() else { return false };
        let event_loop = slf.as_super().get().event_loop(slf.py());
        event_loop.is_ok_and(|event_loop| event_loop.get().engine().borrow().is_scheduled(id))
    }

    /// Cancels the timer and frees its place at once.
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<()> {
        if let Some(id) = slf.get().id.take() {
            let entry = slf.as_super().get().event_loop(slf.py())?.get().cancel_timer(id);
            garbage::show(slf);
            // The handle itself is alive through `slf`, so this runs no destructor.
            drop(entry);
        }
        Handle::cancel_py(slf.as_super())
    }

    fn _repr_info<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        known()?.timer_handle.bind(slf.py()).call_method1("_repr_info", (slf,))
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        pyo3::types::PyFloat::new(py, self.when).hash()
    }

    fn __richcmp__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
        let method = match op {
            CompareOp::Lt => "__lt__",
            CompareOp::Le => "__le__",
            CompareOp::Eq | CompareOp::Ne => "__eq__",
            CompareOp::Gt => "__gt__",
            CompareOp::Ge => "__ge__",
        };
        let py = slf.py();
        let answer = known()?.timer_handle.bind(py).call_method1(method, (slf, other))?;
        if matches!(op, CompareOp::Ne) && !answer.is(py.NotImplemented()) {
            return Ok(PyBool::new(py, !answer.is_truthy()?).to_owned().into_any().unbind());
        }
        Ok(answer.unbind())
    }
}
