//! The reactor: what reaches a loop from outside, and who waits for it.
//!
//! It keeps who waits for which descriptor, signal, process and blocking call, and is told by the loop's turn what the
//! engine has reported. It makes no system call of its own but through the engine and, tried first, the calls of
//! [`Evented`]; sockets, pipes, signals and programs as a user knows them are rooms of their own above it.

mod children;
mod descriptors;
mod evented;
mod jobs;
#[expect(clippy::module_inception, reason = "a room is named after its main noun")]
mod reactor;
pub(crate) mod running;
mod signals;

pub(crate) use children::ChildEnd;
pub(crate) use descriptors::{Side, as_io};
pub(crate) use evented::{Evented, write_all};
pub(crate) use reactor::Reactor;
pub(crate) use signals::Arrivals;
