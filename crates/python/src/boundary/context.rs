//! Context variables: a callback runs in the context that it was scheduled with.
#![expect(unsafe_code, reason = "PyContext_Enter and PyContext_Exit have no safe wrapper")]

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::boundary::object::Object;

/// A copy of the current context.
#[inline]
pub(crate) fn copy_current(py: Python<'_>) -> PyResult<Object> {
    // SAFETY: returns an owned reference, or null with an error.
    unsafe { Object::from_owned(py, ffi::PyContext_CopyCurrent()) }
}

/// The given context, or a copy of the current one for `None`. An empty context is a context: it is not
/// replaced, though it is falsy.
pub(crate) fn given_or_copy(py: Python<'_>, context: Option<Object>) -> PyResult<Object> {
    match context {
        Some(context) if !context.bind(py).is_none() => Ok(context),
        _ => copy_current(py),
    }
}

/// Runs `body` inside a context.
///
/// # Errors
///
/// `RuntimeError` if the context is entered already, `TypeError` if it is not a context; else the body's.
#[expect(
    clippy::inline_always,
    reason = "it runs per callback, with a body of its own each: a call less, counted"
)]
#[inline(always)]
pub(crate) fn run_in<T>(py: Python<'_>, context: &Object, body: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    // SAFETY: a type check of a live object, which PyContext_Enter does with an exception too.
    if unsafe { ffi::PyContext_CheckExact(context.as_ptr()) } == 0 {
        let kind = context.bind(py).get_type().name()?;
        return Err(PyTypeError::new_err(format!("an instance of Context expected, got {kind}")));
    }
    // SAFETY: a live context object.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } < 0 {
        return Err(PyErr::fetch(py));
    }
    let outcome = body();
    // SAFETY: the context that was entered above, by this thread, and nothing has left it since.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } < 0 {
        let error = PyErr::fetch(py);
        return outcome.and(Err(error));
    }
    outcome
}
