//! Datagram transports.

pub(crate) mod outgoing;
pub(crate) mod transport;
