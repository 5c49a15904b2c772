//! What is asked of a socket, and set, when a transport takes it over.

use std::net::SocketAddrV4;

use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::boundary::errors;
use crate::boundary::names::names;
use crate::event_loop::class::Loop;
use crate::socket::descriptor::{MadeAs, Number};

/// asyncio: `_set_nodelay`, which looks at enumerations that Python makes of what the socket was made as.
pub(super) fn set_nodelay(sock: &Bound<'_, PyAny>, made_as: Option<MadeAs>) -> PyResult<()> {
    match (made_as, Number::of_plain(sock)) {
        (Some(made_as), Some(number)) if made_as.is_tcp() => {
            let done = number.with(|fd| rustix::net::sockopt::set_tcp_nodelay(fd, true));
            done.map_err(|errno| errors::os(errno.raw_os_error()))
        }
        (Some(_), Some(_)) => Ok(()),
        _ => names()?.set_nodelay.bind(sock.py()).call1((sock,)).map(drop),
    }
}

/// The address of our side of a connection.
pub(super) fn own_name<'py>(
    event_loop: &Bound<'py, Loop>,
    sock: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = sock.py();
    if let (Some(number), Some(made_as)) = (Number::of_plain(sock), MadeAs::of_plain(sock))
        && made_as.family == libc::AF_INET
        && let Ok(name) = number.with(|fd| rustix::net::getsockname(fd))
        && let Ok(name) = SocketAddrV4::try_from(name)
    {
        return event_loop.get().addresses().tuple(py, name).map(Some);
    }
    name_or_none(sock, intern!(py, "getsockname"))
}

pub(super) fn name_or_none<'py>(
    sock: &Bound<'py, PyAny>,
    method: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match sock.call_method0(method) {
        Ok(name) => Ok(Some(name)),
        Err(error) if error.is_instance_of::<PyOSError>(sock.py()) => Ok(None),
        Err(error) => Err(error),
    }
}
