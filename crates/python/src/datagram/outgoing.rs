//! Sending datagrams: together when the turn ends.

use std::io::IoSlice;

use ourio_monitor::Kind;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use crate::boundary::names::names;
use crate::datagram::inherited::{error_received, inherited_sendto};
use crate::event_loop::class::Loop;
use crate::held::datagrams::{Datagram, Kept};
use crate::queue::report::report_transport;
use crate::socket::descriptor::Number;

/// Keeps a datagram until the turn ends, or until no more should wait.
pub(super) fn hold(event_loop: &Bound<'_, Loop>, datagram: Datagram) -> PyResult<()> {
    let held = event_loop.get().held();
    let kept = held.datagrams().borrow_mut().keep(datagram);
    match kept {
        Kept::Waits => {}
        // Each transport's are sent from one list, which stands for itself: no object need be named.
        Kept::IsFirst => held.hold(names()?.none.clone_ref(event_loop.py()), turn_ended),
        Kept::IsLast => send_held(event_loop)?,
    }
    Ok(())
}

/// What the loop calls when the turn has ended.
fn turn_ended(event_loop: &Bound<'_, Loop>, _none: &Bound<'_, PyAny>) -> PyResult<()> {
    event_loop.get().held().datagrams().borrow_mut().unlist();
    send_held(event_loop)
}

/// Sends what waits. Every datagram is tried, whatever a protocol raises meanwhile; the first exception that ends
/// the loop is the result.
pub(super) fn send_held(slf: &Bound<'_, Loop>) -> PyResult<()> {
    let held = slf.get().held();
    let mut outcome = Ok(());
    loop {
        let mut batch = held.datagrams().borrow_mut().take();
        if batch.is_empty() {
            return outcome;
        }
        for run in batch.chunk_by(|one, other| one.transport.as_ptr() == other.transport.as_ptr()) {
            let transport = run[0].transport.bind(slf.py());
            let sent = send_all(slf, transport, run);
            outcome = outcome.and(sent.or_else(|error| report_transport(slf.as_super(), transport, error)));
        }
        batch.clear();
        held.datagrams().borrow_mut().reuse(batch);
    }
}

/// Sends the datagrams of one transport, as `sendto` would have sent each. The first exception is the result.
fn send_all(slf: &Bound<'_, Loop>, transport: &Bound<'_, PyAny>, datagrams: &[Datagram]) -> PyResult<()> {
    let py = slf.py();
    let mut outcome = Ok(());
    let mut rest = datagrams;
    while !rest.is_empty() {
        // Asked anew each time: what a protocol does about an error may be to close.
        let sock = transport.getattr(intern!(py, "_sock"))?;
        let Some(number) = Number::of_plain(&sock) else { break };
        match send_some(py, number, rest) {
            Ok(count) => {
                let (sent, unsent) = rest.split_at(count);
                for datagram in sent {
                    slf.as_super().get().traffic().sent(Kind::Udp, bytes(py, datagram).len());
                }
                rest = unsent;
            }
            // asyncio's method buffers them.
            Err(Errno::AGAIN | Errno::INTR) => {
                for datagram in rest {
                    outcome = outcome
                        .and(inherited_sendto(transport, &datagram.data, Some(&datagram.address)).map(drop));
                }
                break;
            }
            Err(errno) => {
                outcome = outcome.and(error_received(transport, errno));
                rest = &rest[1..];
            }
        }
    }
    outcome
}

/// One system call; how many datagrams the kernel has taken.
fn send_some(py: Python<'_>, number: Number, datagrams: &[Datagram]) -> Result<usize, Errno> {
    let addresses = datagrams.iter().map(|datagram| SocketAddrAny::from(datagram.peer)).collect::<Vec<_>>();
    let slices = datagrams.iter().map(|datagram| [IoSlice::new(bytes(py, datagram))]).collect::<Vec<_>>();
    let mut controls = datagrams.iter().map(|_| SendAncillaryBuffer::default()).collect::<Vec<_>>();
    let mut headers = addresses
        .iter()
        .zip(&slices)
        .zip(&mut controls)
        .map(|((address, slice), control)| MMsgHdr::new_with_addr(address, slice, control))
        .collect::<Vec<_>>();
    number.with(|fd| sendmmsg(fd, &mut headers, SendFlags::DONTWAIT | SendFlags::NOSIGNAL))
}

fn bytes<'a>(py: Python<'a>, datagram: &'a Datagram) -> &'a [u8] {
    datagram.data.bind(py).cast_exact::<PyBytes>().map_or(&[], |bytes| bytes.as_bytes())
}
