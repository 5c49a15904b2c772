//! The event loop: its class, its turns, and who is told of which descriptor.

pub(crate) mod class;
pub(crate) mod registrations;
pub(crate) mod transports;
pub(crate) mod turn;
