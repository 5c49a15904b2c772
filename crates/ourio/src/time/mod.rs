//! Time: waiting for one, for one turn, and for no longer than so long.
//!
//! The clock and the timers are the engine's; what is given here takes its timer back when it is dropped.

mod clock;
mod sleep;
mod timeout;

pub use clock::time;
pub use sleep::{Sleep, YieldNow, sleep, yield_now};
pub use timeout::{Timeout, TimeoutError, TimeoutHandle, timeout, timeout_scope, wait_for};
