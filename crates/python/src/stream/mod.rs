//! Stream transports: TCP, Unix sockets and what else is a connected stream, also under TLS.

pub(crate) mod chunk;
pub(crate) mod descriptor;
pub(crate) mod life;
pub(crate) mod opening;
pub(crate) mod reading;
pub(crate) mod tls_transport;
pub(crate) mod transport;
pub(crate) mod writing;
