//! The event loop: its class, its turns, and who is told of which descriptor.
//!
//! Connections are in the rooms above. What they need of the loop is here: entries run when it is their turn, an event of a
//! descriptor is delivered to the one who registered, and what was held back is sent when the turn ends.

pub(crate) mod class;
pub(crate) mod listeners;
pub(crate) mod registering;
pub(crate) mod registrations;
pub(crate) mod transports;
pub(crate) mod turn;
