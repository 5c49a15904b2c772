//! Gauges: what other threads may read of a loop at any moment, without a lock.
//!
//! The loop's thread writes them with plain stores, at moments when it enters the kernel anyway; nothing here is timed or
//! judged. Who reads them and what it means is the monitor's matter.

mod counters;
mod meter;
mod pulse;

pub use counters::{Counters, CountersPage};
pub use meter::{Distribution, Histogram, Meter};
pub use pulse::{Beat, Pulse};
