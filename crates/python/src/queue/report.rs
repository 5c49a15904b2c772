//! What becomes of what a callback raises: it goes to the loop's exception handler, and the loop lives.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::boundary::errors;
use crate::queue::scheduler::Scheduler;

/// asyncio: `Handle._run` lets SystemExit and KeyboardInterrupt through and reports everything else.
pub(crate) fn report(slf: &Bound<'_, Scheduler>, handle: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = slf.py();
    if errors::ends_the_loop(py, &error) {
        return Err(error);
    }
    slf.call_method1("_callback_failed", (handle, error.into_value(py)))?;
    Ok(())
}

/// What a transport could not do is reported, as a failing callback is.
pub(crate) fn report_transport(
    slf: &Bound<'_, Scheduler>,
    transport: &Bound<'_, PyAny>,
    error: PyErr,
) -> PyResult<()> {
    let py = slf.py();
    if errors::ends_the_loop(py, &error) {
        return Err(error);
    }
    let context = PyDict::new(py);
    context.set_item("message", format!("Exception in callback of {}", transport.repr()?))?;
    context.set_item("exception", error.into_value(py))?;
    context.set_item("transport", transport)?;
    call_exception_handler(slf, &context)
}

/// Hands a context to the loop's exception handler.
pub(crate) fn call_exception_handler(
    slf: &Bound<'_, Scheduler>,
    context: &Bound<'_, PyDict>,
) -> PyResult<()> {
    slf.call_method1("call_exception_handler", (context,))?;
    Ok(())
}
