//! Datagram transports: the system calls of asyncio's own `_SelectorDatagramTransport`.
//!
//! asyncio's transport stays what it is: buffering, flow control, closing. What runs per datagram is done here for
//! IPv4, with addresses as Python gives them: receiving, and sending while nothing is buffered.

use std::ffi::CStr;
use std::net::SocketAddrV4;

use ourio_monitor::Kind;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyType};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::error;
use crate::event_loop::Loop;
use crate::known::known;
use crate::method::{self, Args, Body, RawMethod};
use crate::object::Object;
use crate::schedule::raw_methods;
use crate::socket::Number;
use crate::watch;

raw_methods! {
    ReadReady, PyAny, c"_read_ready", read_ready, c"_read_ready($self)\n--\n\nDeliver what has come.";
    SendTo, PyAny, c"sendto", sendto,
        c"sendto($self, data, addr=None)\n--\n\nSend a datagram; what the kernel does not take at once is buffered.";
}

/// Makes a subclass of asyncio's datagram transport native where that pays.
#[pyfunction]
pub(crate) fn _add_datagram_methods(class: &Bound<'_, PyType>) -> PyResult<()> {
    method::attach_to::<ReadReady>(class)?;
    method::attach_to::<SendTo>(class)
}

/// How many datagrams are delivered per turn. More would save a poll of each few, at the cost of everybody else's
/// latency.
const BATCH_MAX: usize = 16;

fn read_ready(py: Python<'_>, slf: &Bound<'_, PyAny>, _args: Args<'_>) -> PyResult<Object> {
    let event_loop = slf.getattr(intern!(py, "_loop"))?;
    let Ok(event_loop) = event_loop.cast::<Loop>() else { return Ok(known()?.none.clone_ref(py)) };
    let sock = slf.getattr(intern!(py, "_sock"))?;
    let len = slf.getattr(intern!(py, "max_size"))?.extract::<usize>()?;
    for _ in 0..BATCH_MAX {
        let Some(number) = Number::of_plain(&sock) else { break };
        let outcome = {
            let mut scratch = event_loop.get().scratch().borrow_mut();
            let len = len.min(scratch.len());
            let received =
                number.with(|fd| rustix::net::recvfrom(fd, &mut scratch[..len], RecvFlags::DONTWAIT));
            // The count may be more than there was room for only if that is asked for.
            if let Ok((count, ..)) = &received {
                event_loop.get().traffic().received(Kind::Udp, (*count).min(len));
            }
            received.map(|(count, _, address)| (PyBytes::new(py, &scratch[..count.min(len)]), address))
        };
        let (data, address) = match outcome {
            Ok(received) => received,
            Err(Errno::AGAIN | Errno::INTR) => break,
            Err(errno) => {
                error_received(slf, errno)?;
                break;
            }
        };
        let address = address.and_then(|address| SocketAddrV4::try_from(address).ok());
        let address = match address {
            Some(address) => event_loop.get().peers().borrow_mut().tuple(py, address)?,
            None => py.None().into_bound(py),
        };
        let protocol = slf.getattr(intern!(py, "_protocol"))?;
        protocol.call_method1(intern!(py, "datagram_received"), (data, address))?;
        // Closed, paused or aborted: what has come since is not for this protocol.
        if !watch::is_read(event_loop.get(), number.get()) {
            break;
        }
    }
    Ok(known()?.none.clone_ref(py))
}

fn sendto(py: Python<'_>, slf: &Bound<'_, PyAny>, args: Args<'_>) -> PyResult<Object> {
    let (data, address) = parse(py, args)?;
    let event_loop = slf.getattr(intern!(py, "_loop"))?;
    if let (Ok(bytes), Ok(event_loop)) = (data.bind(py).cast_exact::<PyBytes>(), event_loop.cast::<Loop>())
        && !bytes.as_bytes().is_empty()
        && let Some((number, peer)) = destination(slf, event_loop.get(), address.as_ref())?
    {
        let bytes = bytes.as_bytes();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = number.with(|fd| match peer {
            Some(peer) => rustix::net::sendto(fd, bytes, flags, &peer),
            None => rustix::net::send(fd, bytes, flags),
        });
        match sent {
            Ok(count) => {
                event_loop.get().traffic().sent(Kind::Udp, count);
                return Ok(known()?.none.clone_ref(py));
            }
            // asyncio's method buffers it.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => {
                error_received(slf, errno)?;
                return Ok(known()?.none.clone_ref(py));
            }
        }
    }
    let inherited = known()?.datagram_transport.bind(py).getattr(intern!(py, "sendto"))?;
    let address = address.as_ref().map(|address| address.bind(py));
    Ok(inherited.call1((slf, data.bind(py), address))?.into())
}

fn parse(py: Python<'_>, args: Args<'_>) -> PyResult<(Object, Option<Object>)> {
    let mut found = [args.positional(py, 0), args.positional(py, 1)];
    let mut clash = args.len() > 2;
    for (name, value) in args.keywords(py) {
        let place = match name.extract::<&str>()? {
            "data" => &mut found[0],
            "addr" => &mut found[1],
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "sendto() got an unexpected keyword argument {}",
                    name.repr()?
                )));
            }
        };
        clash |= place.replace(value).is_some();
    }
    let [data, address] = found;
    match data {
        Some(data) if !clash => Ok((data, address)),
        _ => Err(PyTypeError::new_err("sendto() takes data and addr, once each")),
    }
}

/// Where a datagram can go at once: the socket, and the peer unless the socket is connected to it. `None` if
/// asyncio's method has to look at it.
fn destination(
    slf: &Bound<'_, PyAny>,
    event_loop: &Loop,
    address: Option<&Object>,
) -> PyResult<Option<(Number, Option<SocketAddrV4>)>> {
    let py = slf.py();
    let is_none = address.is_none_or(|address| address.bind(py).is_none());
    let buffer = slf.getattr(intern!(py, "_buffer"))?;
    let extra = slf.getattr(intern!(py, "_extra"))?;
    let sock = slf.getattr(intern!(py, "_sock"))?;
    let connected = match extra.cast::<PyDict>()?.get_item(intern!(py, "peername"))? {
        Some(peer) => peer.is_truthy()?,
        None => return Ok(None),
    };
    let fixed = slf.getattr(intern!(py, "_address"))?.is_truthy()?;
    let (Some(number), 0) = (Number::of_plain(&sock), buffer.len()?) else { return Ok(None) };
    if connected && is_none {
        let lost = slf.getattr(intern!(py, "_conn_lost"))?.is_truthy()?;
        return Ok((!lost).then_some((number, None)));
    }
    if connected || fixed {
        return Ok(None);
    }
    let peer = address.and_then(|address| event_loop.peers().borrow().address(address.bind(py)));
    Ok(peer.map(|peer| (number, Some(peer))))
}

fn error_received(slf: &Bound<'_, PyAny>, errno: Errno) -> PyResult<()> {
    let py = slf.py();
    let error = error::os(errno.raw_os_error()).into_value(py);
    let protocol = slf.getattr(intern!(py, "_protocol"))?;
    protocol.call_method1(intern!(py, "error_received"), (error,)).map(drop)
}
