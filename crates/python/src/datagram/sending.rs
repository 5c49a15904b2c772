//! `sendto`: at once, with others when the turn ends, or by asyncio's own method.

use std::net::SocketAddrV4;

use ourio_monitor::Kind;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyType};
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::boundary::method::{self, Args, raw_methods};
use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::datagram::inherited::{error_received, inherited_sendto};
use crate::datagram::outgoing::{self, send_held};
use crate::event_loop::class::Loop;
use crate::held::datagrams::Datagram;
use crate::socket::descriptor::Number;

raw_methods! {
    SendTo, PyAny, c"sendto", sendto,
        c"sendto($self, data, addr=None)\n--\n\nSend a datagram; what the kernel does not take at once is buffered.";
}

pub(super) fn add_method(class: &Bound<'_, PyType>) -> PyResult<()> {
    method::attach_to::<SendTo>(class)
}

fn sendto(py: Python<'_>, slf: &Bound<'_, PyAny>, args: Args<'_>) -> PyResult<Object> {
    let (data, address) = parse(py, args)?;
    let event_loop = slf.getattr(intern!(py, "_loop"))?;
    let Ok(event_loop) = event_loop.cast::<Loop>() else {
        return inherited_sendto(slf, &data, address.as_ref());
    };
    let (this, scheduler) = (event_loop.get(), event_loop.as_super().get());
    if let Ok(bytes) = data.bind(py).cast_exact::<PyBytes>()
        && !bytes.as_bytes().is_empty()
        && let Some((number, peer)) = destination(slf, this, address.as_ref())?
    {
        let len = bytes.as_bytes().len();
        if let Some(peer) = peer
            && let Some(address) = &address
            && this.held().callback().is_some()
            && this.held().datagrams().borrow().pays_to_wait(scheduler.engine().borrow().ready_len() > 0, len)
        {
            let (transport, address) = (slf.clone().into(), address.clone_ref(py));
            outgoing::hold(event_loop, Datagram { transport, data, address, peer })?;
            return Ok(names()?.none.clone_ref(py));
        }
        send_held(event_loop)?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = number.with(|fd| match peer {
            Some(peer) => rustix::net::sendto(fd, bytes.as_bytes(), flags, &peer),
            None => rustix::net::send(fd, bytes.as_bytes(), flags),
        });
        match sent {
            Ok(count) => {
                scheduler.traffic().sent(Kind::Udp, count);
                return Ok(names()?.none.clone_ref(py));
            }
            // asyncio's method buffers it.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => {
                error_received(slf, errno)?;
                return Ok(names()?.none.clone_ref(py));
            }
        }
    }
    send_held(event_loop)?;
    inherited_sendto(slf, &data, address.as_ref())
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
    let peer = address.and_then(|address| event_loop.addresses().address(address.bind(py)));
    Ok(peer.map(|peer| (number, Some(peer))))
}
