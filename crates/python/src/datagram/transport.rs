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
use rustix::net::SendFlags;

use crate::boundary::errors;
use crate::boundary::method::{self, Args, Body, RawMethod};
use crate::boundary::names::known;
use crate::boundary::object::Object;
use crate::datagram::outgoing::{Datagram, send_held};
use crate::event_loop::class::Loop;
use crate::event_loop::registrations;
use crate::queue::call_soon::raw_methods;
use crate::socket::address;
use crate::socket::descriptor::Number;

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

fn read_ready(py: Python<'_>, slf: &Bound<'_, PyAny>, _args: Args<'_>) -> PyResult<Object> {
    let none = || Ok(known()?.none.clone_ref(py));
    let event_loop = slf.getattr(intern!(py, "_loop"))?;
    let Ok(event_loop) = event_loop.cast::<Loop>() else { return none() };
    let this = event_loop.get();
    let sock = slf.getattr(intern!(py, "_sock"))?;
    let longest = slf.getattr(intern!(py, "max_size"))?.extract::<usize>()?;
    let Some(number) = Number::of_plain(&sock) else { return none() };
    if slf.getattr(intern!(py, "_undelivered"))?.is_truthy()? {
        return none();
    }
    let received = {
        let mut arrivals = this.arrivals().borrow_mut();
        // All are taken out before any is delivered: whom they are delivered to may receive.
        number.with(|fd| arrivals.receive(fd, longest)).map(|()| {
            let datagrams = arrivals.iter().map(|(data, sender)| {
                this.traffic().received(Kind::Udp, data.len());
                (PyBytes::new(py, data), sender)
            });
            datagrams.collect::<Vec<_>>()
        })
    };
    let mut rest = match received {
        Ok(datagrams) => datagrams.into_iter(),
        Err(Errno::AGAIN | Errno::INTR) => return none(),
        Err(errno) => {
            error_received(slf, errno)?;
            return none();
        }
    };
    while let Some((data, sender)) = rest.next() {
        this.outgoing().borrow_mut().expect_more(rest.len() > 0);
        let protocol = slf.getattr(intern!(py, "_protocol"))?;
        let delivered = protocol
            .call_method1(intern!(py, "datagram_received"), (data, address_of(py, this, sender)?))
            .map(drop);
        // Not if it was closed, aborted or paused.
        let goes_on = registrations::is_read(this, number.get());
        if delivered.is_err() || !goes_on {
            this.outgoing().borrow_mut().expect_more(false);
            postpone(slf, this, rest)?;
            delivered?;
            break;
        }
    }
    none()
}

/// Keeps what was received after a datagram at which the protocol has stopped.
#[cold]
fn postpone<'py>(
    slf: &Bound<'py, PyAny>,
    event_loop: &Loop,
    rest: impl ExactSizeIterator<Item = (Bound<'py, PyBytes>, Option<SocketAddrV4>)>,
) -> PyResult<()> {
    let py = slf.py();
    if rest.len() == 0 {
        return Ok(());
    }
    let rest = rest.map(|(data, sender)| Ok((data, address_of(py, event_loop, sender)?)));
    slf.call_method1(intern!(py, "_postpone"), (rest.collect::<PyResult<Vec<_>>>()?,)).map(drop)
}

fn address_of<'py>(
    py: Python<'py>,
    event_loop: &Loop,
    sender: Option<SocketAddrV4>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(sender) = sender else { return Ok(py.None().into_bound(py)) };
    address::shared(py, event_loop, sender)
}

fn sendto(py: Python<'_>, slf: &Bound<'_, PyAny>, args: Args<'_>) -> PyResult<Object> {
    let (data, address) = parse(py, args)?;
    let event_loop = slf.getattr(intern!(py, "_loop"))?;
    let Ok(event_loop) = event_loop.cast::<Loop>() else {
        return inherited_sendto(slf, &data, address.as_ref());
    };
    let this = event_loop.get();
    if let Ok(bytes) = data.bind(py).cast_exact::<PyBytes>()
        && !bytes.as_bytes().is_empty()
        && let Some((number, peer)) = destination(slf, this, address.as_ref())?
    {
        let len = bytes.as_bytes().len();
        if let Some(peer) = peer
            && let Some(address) = &address
            && this.dispatching().get()
            && this.outgoing().borrow().pays_to_wait(this, len)
        {
            let (transport, address) = (slf.clone().into(), address.clone_ref(py));
            let datagram = Datagram { transport, data, address, peer };
            if this.hold(datagram) {
                send_held(event_loop)?;
            }
            return Ok(known()?.none.clone_ref(py));
        }
        send_held(event_loop)?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = number.with(|fd| match peer {
            Some(peer) => rustix::net::sendto(fd, bytes.as_bytes(), flags, &peer),
            None => rustix::net::send(fd, bytes.as_bytes(), flags),
        });
        match sent {
            Ok(count) => {
                this.traffic().sent(Kind::Udp, count);
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
    send_held(event_loop)?;
    inherited_sendto(slf, &data, address.as_ref())
}

/// asyncio's own method: checks, buffering.
pub(crate) fn inherited_sendto(
    slf: &Bound<'_, PyAny>,
    data: &Object,
    address: Option<&Object>,
) -> PyResult<Object> {
    let py = slf.py();
    let inherited = known()?.datagram_transport.bind(py).getattr(intern!(py, "sendto"))?;
    let address = address.map(|address| address.bind(py));
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
    let peer = address.and_then(|address| event_loop.addresses().borrow().address(address.bind(py)));
    Ok(peer.map(|peer| (number, Some(peer))))
}

pub(crate) fn error_received(slf: &Bound<'_, PyAny>, errno: Errno) -> PyResult<()> {
    let py = slf.py();
    let error = errors::os(errno.raw_os_error()).into_value(py);
    let protocol = slf.getattr(intern!(py, "_protocol"))?;
    protocol.call_method1(intern!(py, "error_received"), (error,)).map(drop)
}
