//! Datagrams that wait for the end of the turn, and leave together: half a microsecond less for each.

use std::io::IoSlice;
use std::net::SocketAddrV4;

use ourio_monitor::Kind;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use crate::boundary::object::Object;
use crate::datagram::transport::{error_received, inherited_sendto};
use crate::event_loop::class::Loop;
use crate::event_loop::turn::report_transport;
use crate::socket::descriptor::Number;

/// How many wait at most.
const HELD_MAX: usize = 64;

/// Longer ones do not wait: what a system call costs is little beside them.
const LEN_MAX: usize = 4 * 1024;

/// A datagram that `sendto` has taken, of a socket that is not connected. What a connected one sent before may have
/// failed meanwhile, which the kernel tells once, and not if part of a call has succeeded.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) transport: Object,
    /// A `bytes`, exactly.
    pub(crate) data: Object,
    /// As the program has given it.
    pub(crate) address: Object,
    pub(crate) peer: SocketAddrV4,
}

/// What waits, in the order in which it was sent.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    held: Vec<Datagram>,
    more_comes: bool,
}

impl Outgoing {
    /// Whether further datagrams will be delivered in this callback, which may be answered too.
    pub(crate) fn expect_more(&mut self, more: bool) {
        self.more_comes = more;
    }

    /// Whether a datagram should wait for others: there are some already, or something is left to be done in this
    /// turn that could send.
    pub(crate) fn pays_to_wait(&self, event_loop: &Loop, len: usize) -> bool {
        let others = self.more_comes || !self.held.is_empty() || event_loop.engine().borrow().ready_len() > 0;
        others && len <= LEN_MAX
    }

    /// Keeps a datagram; `true` if no more should wait.
    pub(crate) fn hold(&mut self, datagram: Datagram) -> bool {
        self.held.push(datagram);
        self.held.len() >= HELD_MAX
    }
}

/// Sends what waits. Every datagram is tried, whatever a protocol raises meanwhile; the first exception that ends
/// the loop is the result.
pub(crate) fn send_held(slf: &Bound<'_, Loop>) -> PyResult<()> {
    let mut outcome = Ok(());
    loop {
        let mut batch = std::mem::take(&mut slf.get().outgoing().borrow_mut().held);
        if batch.is_empty() {
            return outcome;
        }
        for run in batch.chunk_by(|one, other| one.transport.as_ptr() == other.transport.as_ptr()) {
            let transport = run[0].transport.bind(slf.py());
            let sent = send_all(slf, transport, run);
            outcome = outcome.and(sent.or_else(|error| report_transport(slf, transport, error)));
        }
        batch.clear();
        // Its memory serves the next turn.
        let mut outgoing = slf.get().outgoing().borrow_mut();
        if outgoing.held.is_empty() {
            outgoing.held = batch;
        }
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
                    slf.get().traffic().sent(Kind::Udp, bytes(py, datagram).len());
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
