//! What waits in a write queue: a `bytes` object, which cannot change, or a copy of anything that can.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::boundary::buffer::{Bytes, is_writable_data};
use crate::boundary::names::names;
use crate::boundary::object::Object;

/// Accepts what asyncio's `write` accepts; a buffer that can change is copied.
///
/// # Errors
///
/// `TypeError` in asyncio's words.
#[inline]
pub(crate) fn chunk(py: Python<'_>, data: &Object) -> PyResult<Bytes> {
    if let Some(bytes) = Bytes::of_exact(py, data) {
        return Ok(bytes);
    }
    let data = data.bind(py);
    if is_writable_data(data) { Bytes::copy(data) } else { Err(refusal(data)?) }
}

/// asyncio's words differ by version, so its own transport, which looks at the data first, says them.
fn refusal(data: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let class = names()?.stream_transport.bind(data.py());
    let blank = class.call_method1("__new__", (class,))?;
    // Its destructor asks for it.
    blank.setattr("_sock", data.py().None())?;
    let words = "data argument must be a bytes, bytearray, or memoryview object";
    Ok(blank.call_method1("write", (data,)).err().unwrap_or_else(|| PyTypeError::new_err(words)))
}
