//! Threads that make blocking calls for a loop, and staying awake for one another.
//!
//! They reach an engine as any other thread does, by its inbox; the engine knows nothing of them.

mod blocking;
mod spin;

pub use blocking::{BlockingPool, PoolLimits};
pub use spin::{AdaptiveSpin, SPIN_MAX, spin_until};
