//! Sockets, as far as no loop is needed: descriptors, addresses, what is received into.

pub(crate) mod address;
pub(crate) mod arrivals;
pub(crate) mod descriptor;
