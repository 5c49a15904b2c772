//! The queue: what is ready to run, and which of it runs next.
//!
//! It knows neither times nor descriptors: whatever becomes ready is an entry at its end, and asyncio's order is the one in
//! which entries came.

mod ready;
mod schedule;

pub use ready::{Place, ReadyQueue};
pub(crate) use schedule::Order;
pub use schedule::{Divergence, Schedule, Trace, TraceParseError};
