//! What asyncio's `SSLProtocol` says of itself: whether its data path may be used from here.

use std::rc::Rc;

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::boundary::names::names;
use crate::tls::session::Session;

/// The session of a protocol, if it is asyncio's TLS protocol and its session can be used from here.
pub(crate) fn session_of(protocol: &Bound<'_, PyAny>) -> PyResult<Option<Rc<Session>>> {
    let py = protocol.py();
    if !is_tls_protocol(protocol)? {
        return Ok(None);
    }
    let attribute = |name| protocol.getattr(name);
    let session = Session::of(
        &attribute(intern!(py, "_sslobj"))?,
        &attribute(intern!(py, "_incoming"))?,
        &attribute(intern!(py, "_outgoing"))?,
    )?;
    Ok(session.map(Rc::new))
}

pub(crate) fn is_tls_protocol(protocol: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(protocol.get_type().as_ptr() == names()?.tls_protocol.as_ptr())
}

/// Whether the handshake is over, the shutdown has not begun, and nothing waits to be encrypted.
pub(crate) fn is_up(protocol: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = protocol.py();
    Ok(protocol.getattr(intern!(py, "_state"))?.as_ptr() == names()?.tls_wrapped.as_ptr()
        && protocol.getattr(intern!(py, "_write_backlog"))?.len()? == 0)
}

pub(crate) fn is_false(value: &Bound<'_, PyAny>) -> bool {
    value.as_ptr() == PyBool::new(value.py(), false).as_ptr()
}

/// asyncio: what a protocol raises ends its connection.
pub(crate) fn fail(protocol: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = protocol.py();
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    let arguments = (error.into_value(py), "Fatal error on SSL protocol");
    protocol.call_method1(intern!(py, "_fatal_error"), arguments).map(drop)
}
