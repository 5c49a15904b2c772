//! `TimerHandle`: what `call_later` and `call_at` return.

use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::plain::{Handle, Seat};
use crate::boundary::garbage;
use crate::boundary::names::names;

/// A handle with a deadline.
#[pyclass(module = "ourio", frozen, extends = Handle)]
#[derive(Debug)]
pub(crate) struct TimerHandle {
    /// The deadline in seconds of `loop.time()`, as it was asked for.
    when: f64,
}

impl TimerHandle {
    pub(crate) fn over(handle: Handle, when: f64) -> PyClassInitializer<Self> {
        PyClassInitializer::from(handle).add_subclass(Self { when })
    }
}

#[pymethods]
impl TimerHandle {
    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(names()?.timer_handle.bind(py).clone())
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
        let handle = slf.as_super().get();
        let Some(id) = handle.timer() else { return false };
        let event_loop = handle.event_loop(slf.py());
        event_loop.is_ok_and(|event_loop| event_loop.get().engine().borrow().is_scheduled(id))
    }

    /// Cancels the timer and frees its place at once.
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<()> {
        let handle = slf.as_super().get();
        if let Some(id) = handle.timer() {
            handle.take_seat(Seat::None);
            let entry = handle.event_loop(slf.py())?.get().engine().borrow_mut().cancel(id);
            garbage::show(slf);
            // The handle itself is alive through `slf`, so this runs no destructor.
            drop(entry);
        }
        Handle::cancel_py(slf.as_super())
    }

    fn _repr_info<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        names()?.timer_handle.bind(slf.py()).call_method1("_repr_info", (slf,))
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
        let answer = names()?.timer_handle.bind(py).call_method1(method, (slf, other))?;
        if matches!(op, CompareOp::Ne) && !answer.is(py.NotImplemented()) {
            return Ok(PyBool::new(py, !answer.is_truthy()?).to_owned().into_any().unbind());
        }
        Ok(answer.unbind())
    }
}
