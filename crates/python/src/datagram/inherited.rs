//! What is left to asyncio's own transport and to the protocol.

use pyo3::intern;
use pyo3::prelude::*;
use rustix::io::Errno;

use crate::boundary::errors;
use crate::boundary::names::names;
use crate::boundary::object::Object;

/// asyncio's own method: checks, buffering.
pub(super) fn inherited_sendto(
    slf: &Bound<'_, PyAny>,
    data: &Object,
    address: Option<&Object>,
) -> PyResult<Object> {
    let py = slf.py();
    let inherited = names()?.datagram_transport.bind(py).getattr(intern!(py, "sendto"))?;
    let address = address.map(|address| address.bind(py));
    Ok(inherited.call1((slf, data.bind(py), address))?.into())
}

/// Tells the protocol what the kernel has refused.
pub(super) fn error_received(slf: &Bound<'_, PyAny>, errno: Errno) -> PyResult<()> {
    let py = slf.py();
    let error = errors::os(errno.raw_os_error()).into_value(py);
    let protocol = slf.getattr(intern!(py, "_protocol"))?;
    protocol.call_method1(intern!(py, "error_received"), (error,)).map(drop)
}
