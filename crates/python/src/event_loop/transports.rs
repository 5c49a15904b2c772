//! asyncio's own table of a loop's transports by their descriptors, `loop._transports`.
//!
//! It says which transport *uses* a descriptor, for as long as it does; the loop's registrations say who
//! is told when one is ready, which a transport that has paused reading is not.
//!
//! It is a container of weak references that is written in Python, and asked twice per connection. What its methods would do
//! to the dict inside is done here.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyWeakrefMethods, PyWeakrefReference};

use crate::event_loop::class::Loop;

/// Refuses a descriptor that another transport uses.
///
/// # Errors
///
/// asyncio's: `RuntimeError` if there is one.
pub(crate) fn refuse_if_used(event_loop: &Bound<'_, Loop>, sock: &Bound<'_, PyAny>, fd: i32) -> PyResult<()> {
    if transports(event_loop)?.contains(fd)? {
        event_loop.call_method1(intern!(event_loop.py(), "_ensure_fd_no_transport"), (sock,))?;
    }
    Ok(())
}

/// Enters a transport as the one that uses a descriptor.
pub(crate) fn enter(event_loop: &Bound<'_, Loop>, fd: i32, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    // No function is called when it is collected: an entry whose transport is gone counts as none, and
    // whoever has the number next replaces it.
    transports(event_loop)?.set_item(fd, PyWeakrefReference::new(transport)?)
}

/// Takes a transport out again, if it is still the one that uses the descriptor.
pub(crate) fn leave(event_loop: &Bound<'_, Loop>, fd: i32, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let table = transports(event_loop)?;
    let entered = table.get_item(fd)?.and_then(|entry| entry.cast_into::<PyWeakrefReference>().ok());
    if entered.and_then(|entry| entry.upgrade()).is_some_and(|entered| entered.is(transport)) {
        table.del_item(fd)?;
    }
    Ok(())
}

/// What is in the `WeakValueDictionary` of a loop.
fn transports<'py>(event_loop: &Bound<'py, Loop>) -> PyResult<Bound<'py, PyDict>> {
    let py = event_loop.py();
    let table = event_loop.getattr(intern!(py, "_transports"))?.getattr(intern!(py, "data"))?;
    Ok(table.cast_into::<PyDict>()?)
}
