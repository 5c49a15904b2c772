//! Accepting connections for a server.
//!
//! The rules (how many per event, what to do without descriptors) are `ourio_transport::AcceptBackoff`; what
//! happens with a connection is asyncio's own `_accept_connection2`, so it is exactly asyncio's per version.
//! A plain internet socket is accepted from by one system call, any other by its own method.
//! One thing differs: asyncio, out of descriptors, goes on through its whole backlog and reports and
//! reschedules a hundred times; here the first failure pauses.

use std::net::SocketAddr;
use std::os::fd::IntoRawFd;

use ourio_transport::{AcceptBackoff, AcceptFailure, Verdict};
use pyo3::exceptions::{PyBlockingIOError, PyConnectionAbortedError, PyInterruptedError, PyOSError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict, PyTuple};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use crate::boundary::errors;
use crate::boundary::names::names;
use crate::event_loop::class::Loop;
use crate::queue::report::call_exception_handler;
use crate::socket::address;
use crate::socket::descriptor::{MadeAs, Number};

#[pymethods]
impl Loop {
    /// A listening socket is readable. The arguments are those of asyncio's method of this name, which differ
    /// by version; those after the backlog are only passed on.
    #[pyo3(signature = (protocol_factory, sock, sslcontext = None, server = None, backlog = 100, *rest))]
    fn _accept_connection(
        slf: &Bound<'_, Self>,
        protocol_factory: Bound<'_, PyAny>,
        sock: Bound<'_, PyAny>,
        sslcontext: Option<Bound<'_, PyAny>>,
        server: Option<Bound<'_, PyAny>>,
        backlog: usize,
        rest: &Bound<'_, PyTuple>,
    ) -> PyResult<()> {
        let py = slf.py();
        let none = || py.None().into_bound(py);
        let (sslcontext, server) = (sslcontext.unwrap_or_else(none), server.unwrap_or_else(none));
        let rest = &with_timeouts(rest)?;
        let number = plain_internet(&sock).map(|(number, _)| number.get());
        let mut pace = slf.get().last_listener().pace(number);
        let takes_one = pace.takes_one();
        let mut accept = AcceptBackoff::new(if takes_one { 0 } else { backlog });
        accept.handle_readable();
        let mut count = 0;
        loop {
            let verdict = match accept_one(&sock) {
                Ok((connection, address)) => {
                    log_connection(slf, &server, &address, &connection)?;
                    let extra = PyDict::new(py);
                    extra.set_item(intern!(py, "peername"), address)?;
                    welcome(slf, (&protocol_factory, connection, extra, &sslcontext, &server), rest)?;
                    count += 1;
                    accept.handle_accepted()
                }
                Err(failure) => match accept.handle_failure(failure.kind(py)) {
                    Verdict::Report => return Err(failure.into()),
                    Verdict::Pause(_) => {
                        report_exhaustion(slf, &sock, failure.into())?;
                        pause(slf, &protocol_factory, &sock, &sslcontext, &server, backlog, rest)?;
                        Verdict::Wait
                    }
                    verdict => verdict,
                },
            };
            if verdict != Verdict::Again {
                if !takes_one {
                    pace.handle_found(count);
                }
                if let Some(number) = number {
                    slf.get().last_listener().note(number, pace);
                }
                return Ok(());
            }
        }
    }
}

/// What follows the backlog: the two timeouts of TLS, asyncio's own if they are not given, and more since 3.15.
fn with_timeouts<'py>(rest: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyTuple>> {
    let py = rest.py();
    if rest.len() >= 2 {
        return Ok(rest.clone());
    }
    let constants = py.import("asyncio.constants")?;
    let mut values: Vec<_> = rest.iter().collect();
    for name in ["SSL_HANDSHAKE_TIMEOUT", "SSL_SHUTDOWN_TIMEOUT"].iter().skip(values.len()) {
        values.push(constants.getattr(*name)?);
    }
    if py.version_info() >= (3, 15) {
        values.push(py.None().into_bound(py));
    }
    PyTuple::new(py, values)
}

/// Why nobody was accepted: what the kernel said, which need not become an exception, or what the socket's method raised.
enum Failure {
    Kernel(Errno),
    Raised(PyErr),
}

impl Failure {
    fn kind(&self, py: Python<'_>) -> AcceptFailure {
        match self {
            Self::Kernel(Errno::AGAIN | Errno::INTR) => AcceptFailure::NobodyWaits,
            Self::Kernel(Errno::CONNABORTED) => AcceptFailure::Aborted,
            Self::Kernel(errno) => classify_code(errno.raw_os_error()),
            Self::Raised(error) => classify(py, error),
        }
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Kernel(errno) => errors::os(errno.raw_os_error()),
            Failure::Raised(error) => error,
        }
    }
}

/// A connection that does not block, and its peer's address.
type Accepted<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// A socket that is accepted from by one system call.
fn plain_internet(sock: &Bound<'_, PyAny>) -> Option<(Number, MadeAs)> {
    let (number, made_as) = (Number::of_plain(sock)?, MadeAs::of_plain(sock)?);
    made_as.is_internet().then_some((number, made_as))
}

fn accept_one<'py>(sock: &Bound<'py, PyAny>) -> Result<Accepted<'py>, Failure> {
    let py = sock.py();
    if let Some((number, made_as)) = plain_internet(sock) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let accepted = number.with(|fd| rustix::net::acceptfrom_with(fd, flags));
        let (connection, peer) = accepted.map_err(Failure::Kernel)?;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let peer = peer.ok_or(Failure::Kernel(Errno::CONNABORTED))?;
        let peer = address::to_python(py, peer)?;
        // From here on the number is Python's to close. If no object comes of it nobody does, as in `socket.accept`:
        // whether the object had it already is not known, and no number may be closed twice.
        let fd = connection.into_raw_fd();
        let kind = made_as.kind | libc::SOCK_NONBLOCK;
        let connection = names()?.socket.bind(py).call1((made_as.family, kind, made_as.protocol, fd))?;
        return Ok((connection, peer));
    }
    let (connection, peer): Accepted<'py> = sock.call_method0("accept")?.extract()?;
    connection.call_method1("setblocking", (false,))?;
    Ok((connection, peer))
}

type Connection<'a, 'py> = (
    &'a Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Bound<'py, PyDict>,
    &'a Bound<'py, PyAny>,
    &'a Bound<'py, PyAny>,
);

/// Starts asyncio's own coroutine for a new connection.
fn welcome(slf: &Bound<'_, Loop>, connection: Connection<'_, '_>, rest: &Bound<'_, PyTuple>) -> PyResult<()> {
    let py = slf.py();
    let (factory, sock, extra, sslcontext, server) = connection;
    let arguments = (factory, sock, extra, sslcontext, server, rest.get_item(0)?, rest.get_item(1)?);
    // 3.15: each connection gets a copy of the server's context.
    let keywords = match rest.iter().nth(2) {
        None => None,
        Some(context) => {
            let own = if context.is_none() { context } else { context.call_method0("copy")? };
            Some([("context", own)].into_py_dict(py)?)
        }
    };
    let coroutine = slf.getattr(intern!(py, "_accept_connection2"))?.call(arguments, keywords.as_ref())?;
    slf.call_method(intern!(py, "create_task"), (coroutine,), keywords.as_ref())?;
    Ok(())
}

fn classify(py: Python<'_>, error: &PyErr) -> AcceptFailure {
    if error.is_instance_of::<PyConnectionAbortedError>(py) {
        return AcceptFailure::Aborted;
    }
    if error.is_instance_of::<PyBlockingIOError>(py) || error.is_instance_of::<PyInterruptedError>(py) {
        return AcceptFailure::NobodyWaits;
    }
    if !error.is_instance_of::<PyOSError>(py) {
        return AcceptFailure::Other;
    }
    classify_code(error.value(py).getattr("errno").and_then(|code| code.extract()).unwrap_or(0))
}

fn classify_code(code: i32) -> AcceptFailure {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    if exhausted.iter().any(|errno| errno.raw_os_error() == code) {
        return AcceptFailure::OutOfResources;
    }
    AcceptFailure::Other
}

fn report_exhaustion(slf: &Bound<'_, Loop>, sock: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = slf.py();
    let context = PyDict::new(py);
    context.set_item("message", "socket.accept() out of system resource")?;
    context.set_item("exception", error.into_value(py))?;
    context.set_item("socket", names()?.transport_socket.bind(py).call1((sock,))?)?;
    call_exception_handler(slf.as_super(), &context)
}

/// Stops listening, and starts again after asyncio's delay, which programs and tests may change.
fn pause(
    slf: &Bound<'_, Loop>,
    protocol_factory: &Bound<'_, PyAny>,
    sock: &Bound<'_, PyAny>,
    sslcontext: &Bound<'_, PyAny>,
    server: &Bound<'_, PyAny>,
    backlog: usize,
    rest: &Bound<'_, PyTuple>,
) -> PyResult<()> {
    let py = slf.py();
    slf.call_method1("_remove_reader", (sock.call_method0("fileno")?,))?;
    let delay = py.import("asyncio.constants")?.getattr("ACCEPT_RETRY_DELAY")?;
    let start = slf.getattr("_start_serving")?;
    let head = (delay, start, protocol_factory, sock, sslcontext, server, backlog).into_pyobject(py)?;
    let arguments = head.as_sequence().concat(rest.as_sequence())?.to_tuple()?;
    slf.getattr("call_later")?.call1(arguments)?;
    Ok(())
}

fn log_connection(
    slf: &Bound<'_, Loop>,
    server: &Bound<'_, PyAny>,
    address: &Bound<'_, PyAny>,
    connection: &Bound<'_, PyAny>,
) -> PyResult<()> {
    if slf.as_super().get().is_debug() {
        let text = "%r got a new connection from %r: %r";
        names()?.logger.bind(slf.py()).call_method1("debug", (text, server, address, connection))?;
    }
    Ok(())
}
