//! What the attempts have in common: which sockets they may use, and who makes the attempt for the others.

use pyo3::prelude::*;
use rustix::io::Errno;

use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::socket::descriptor::Number;

/// A plain socket's number; `None` where asyncio's checks have to be made, and the socket's own method called.
pub(super) fn plain(slf: &Bound<'_, Loop>, sock: &Object) -> Option<Number> {
    if slf.as_super().get().is_debug() { None } else { Number::of_plain(sock.bind(slf.py())) }
}

/// asyncio: "not now" is the same as "interrupted".
pub(super) fn is_not_now(errno: Errno) -> bool {
    matches!(errno, Errno::AGAIN | Errno::INTR)
}

/// asyncio's checks, and the socket's own method.
pub(super) fn by_method(
    slf: &Bound<'_, Loop>,
    name: &str,
    sock: &Object,
    argument: &Object,
) -> PyResult<Object> {
    let py = slf.py();
    Ok(slf.call_method1(name, (sock.bind(py), argument.bind(py)))?.into())
}
