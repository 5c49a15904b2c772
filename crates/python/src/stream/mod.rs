//! Stream transports.

pub(crate) mod io;
pub(crate) mod transport;
