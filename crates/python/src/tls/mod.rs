//! TLS connections.

pub(crate) mod data_path;
pub(crate) mod session;
