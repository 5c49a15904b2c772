//! Sockets, as far as no loop is needed: whose descriptor it is, addresses, and what is received into.

pub(crate) mod address;
pub(crate) mod arrivals;
pub(crate) mod descriptor;
pub(crate) mod last_listener;
pub(crate) mod receive_buffer;
