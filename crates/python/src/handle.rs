//! `Handle` and `TimerHandle`: what `call_soon` and `call_later` return.
//!
//! They answer `isinstance` as asyncio's own classes do, through `__class__`, which `isinstance` falls back
//! on, without carrying those classes' ten slots. The text forms are asyncio's own functions.

use std::cell::{Cell, RefCell};

use ourio_engine::TimerId;
use pyo3::PyTraverseError;
use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;
use pyo3::types::{PyBool, PyTuple};

use crate::callback::Callback;
use crate::event_loop::Loop;
use crate::gil::GilBound;
use crate::known::known;
use crate::object::Object;

/// A callback that can be cancelled until it runs.
#[pyclass(module = "ourio", frozen, subclass, weakref)]
#[derive(Debug)]
pub(crate) struct Handle {
    state: GilBound<State>,
}

#[derive(Debug)]
struct State {
    event_loop: RefCell<Option<Object>>,
    /// `None` once cancelled.
    callback: RefCell<Option<Callback>>,
    cancelled: Cell<bool>,
    source_traceback: Option<Object>,
    /// The text form at the time of cancelling, kept in debug mode because the callback goes.
    text: RefCell<Option<Object>>,
}

impl Handle {
    pub(crate) fn new(
        event_loop: &Bound<'_, Loop>,
        callback: Callback,
        source_traceback: Option<Object>,
    ) -> Self {
        let state = State {
            event_loop: RefCell::new(Some(event_loop.clone().into())),
            callback: RefCell::new(Some(callback)),
            cancelled: Cell::new(false),
            source_traceback,
            text: RefCell::new(None),
        };
        Self { state: GilBound::new(state) }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.cancelled.get()
    }

    /// Runs the callback; it may cancel its own handle meanwhile.
    #[inline]
    pub(crate) fn run(&self, py: Python<'_>) -> PyResult<()> {
        let callback = self.state.callback.borrow().as_ref().map(|callback| callback.clone_ref(py));
        callback.map_or(Ok(()), |callback| callback.run(py))
    }

    fn event_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.event_loop.borrow().as_ref().map(|event_loop| event_loop.bind(py).clone())
    }

    fn in_debug_mode(&self, py: Python<'_>) -> bool {
        let event_loop = self.event_loop(py);
        let event_loop = event_loop.as_ref().and_then(|event_loop| event_loop.cast::<Loop>().ok());
        event_loop.is_some_and(|event_loop| event_loop.get().is_debug())
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
        if this.state.cancelled.replace(true) {
            return Ok(());
        }
        if this.in_debug_mode(py) {
            let text = slf.repr()?;
            this.state.text.replace(Some(text.into()));
        }
        // Taken out first: dropping it may run the program's own code.
        let callback = this.state.callback.take();
        drop(callback);
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
        match this.event_loop(slf.py()) {
            Some(event_loop) => crate::turn::report(event_loop.cast::<Loop>()?, slf.as_any(), error),
            None => Err(error),
        }
    }

    #[getter]
    fn _callback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let callback = self.state.callback.borrow();
        callback.as_ref().map(|callback| callback.function.bind(py).clone().unbind())
    }

    #[getter]
    fn _args<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        // Not borrowed while a tuple is made: that may collect garbage, which may cancel this handle.
        let callback = self.state.callback.borrow().as_ref().map(|callback| callback.clone_ref(py));
        callback.map(|callback| callback.arguments.to_tuple(py)).transpose()
    }

    #[getter]
    fn _context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let callback = self.state.callback.borrow();
        callback.as_ref().map(|callback| callback.context.bind(py).clone().unbind())
    }

    #[getter]
    fn _cancelled(&self) -> bool {
        self.is_cancelled()
    }

    #[getter]
    fn _loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.event_loop(py)
    }

    #[getter]
    fn _repr(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.text.borrow().as_ref().map(|text| text.bind(py).clone().unbind())
    }

    #[getter]
    fn _source_traceback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.source_traceback.as_ref().map(|stack| stack.bind(py).clone().unbind())
    }

    fn _repr_info<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        known()?.handle.bind(slf.py()).call_method1("_repr_info", (slf,))
    }

    fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        known()?.handle.bind(slf.py()).call_method1("__repr__", (slf,))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(callback) = self.state.callback.try_borrow() {
            for object in callback.iter().flat_map(Callback::references) {
                visit.call(object.as_py())?;
            }
        }
        if let Ok(event_loop) = self.state.event_loop.try_borrow() {
            visit.call(event_loop.as_ref().map(Object::as_py))?;
        }
        visit.call(self.state.source_traceback.as_ref().map(Object::as_py))
    }

    fn __clear__(&self) {
        let callback = self.state.callback.take();
        let event_loop = self.state.event_loop.take();
        drop((callback, event_loop));
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
        let event_loop = event_loop.as_ref().and_then(|event_loop| event_loop.cast::<Loop>().ok());
        event_loop.is_some_and(|event_loop| event_loop.get().engine().borrow().is_scheduled(id))
    }

    /// Cancels the timer and frees its place at once.
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<()> {
        if let Some(id) = slf.get().id.take()
            && let Some(event_loop) = slf.as_super().get().event_loop(slf.py())
        {
            let entry = event_loop.cast::<Loop>()?.get().cancel_timer(id);
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
