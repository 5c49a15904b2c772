//! Time: the clock that an engine reads, and what waits for a point of it.
//!
//! Nothing here sleeps: for how long a turn may is the engine's to say.

mod clock;
mod timer;

pub use clock::{Clock, SimulatedClock, Time};
pub use timer::{TimerId, Timers};
