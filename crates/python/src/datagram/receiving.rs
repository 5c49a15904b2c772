//! Receiving datagrams: several in one system call, each delivered before the next.

use std::net::SocketAddrV4;

use ourio_monitor::Kind;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use rustix::io::Errno;

use crate::boundary::method::{self, Args, raw_methods};
use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::datagram::inherited::error_received;
use crate::event_loop::class::Loop;
use crate::event_loop::registering;
use crate::event_loop::registrations::Side;
use crate::socket::descriptor::Number;

raw_methods! {
    ReadReady, PyAny, c"_read_ready", read_ready, c"_read_ready($self)\n--\n\nDeliver what has come.";
}

pub(super) fn add_method(class: &Bound<'_, PyType>) -> PyResult<()> {
    method::attach_to::<ReadReady>(class)
}

fn read_ready(py: Python<'_>, slf: &Bound<'_, PyAny>, _args: Args<'_>) -> PyResult<Object> {
    let none = || Ok(names()?.none.clone_ref(py));
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
        let traffic = event_loop.as_super().get().traffic();
        let mut arrivals = this.arrivals().borrow_mut();
        // All are taken out before any is delivered: whom they are delivered to may receive.
        number.with(|fd| arrivals.receive(fd, longest)).map(|()| {
            let datagrams = arrivals.iter().map(|(data, sender)| {
                traffic.received(Kind::Udp, data.len());
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
        this.held().datagrams().borrow_mut().expect_more(rest.len() > 0);
        let protocol = slf.getattr(intern!(py, "_protocol"))?;
        let delivered = protocol
            .call_method1(intern!(py, "datagram_received"), (data, address_of(py, this, sender)?))
            .map(drop);
        // Not if it was closed, aborted or paused.
        let goes_on = registering::is_listened_to(event_loop, number.get(), Side::Read);
        if delivered.is_err() || !goes_on {
            this.held().datagrams().borrow_mut().expect_more(false);
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
    event_loop.addresses().tuple(py, sender)
}
