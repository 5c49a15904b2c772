//! The queue: what is ready to run, and which of it runs next.

mod ready;
mod schedule;

pub use ready::{Place, ReadyQueue};
pub(crate) use schedule::Order;
pub use schedule::{Divergence, Schedule, Trace, TraceParseError};
