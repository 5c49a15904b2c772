//! Threads that make blocking calls for a loop, and staying awake for one another.
//!
//! They reach an engine as any other thread does, by its inbox; the engine knows nothing of them.

mod awake;
mod blocking;

pub use awake::{AWAKE_MAX, Luck, stay_awake_until};
pub use blocking::{BlockingPool, PoolLimits};
