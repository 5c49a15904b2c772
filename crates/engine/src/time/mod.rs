//! Time: the clock that an engine reads, and what waits for a point of it.

mod clock;
mod timer;

pub use clock::{Clock, SimulatedClock, Time};
pub use timer::{TimerId, Timers};
