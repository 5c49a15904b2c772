//! `ThreadSafeHandle`: what `call_soon_threadsafe` returns since 3.14.

use pyo3::prelude::*;

use super::plain::Handle;
use crate::boundary::names::names;

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
        let py = slf.py();
        let handle = slf.as_super().get();
        handle.event_loop(py)?.get().guarded().wait_until_ended(py, handle.place())
    }
}

#[pymethods]
impl ThreadSafeHandle {
    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let names = names()?;
        Ok(names.thread_safe_handle.as_ref().unwrap_or(&names.handle).bind(py).clone())
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
