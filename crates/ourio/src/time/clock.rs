//! The time that it is on the loop that runs.

use std::time::Duration;

use crate::scheduling::running;

/// The time of the loop that runs in this thread. asyncio: `get_running_loop().time()`.
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn time() -> Duration {
    Duration::from_nanos(running::expect().now().as_nanos())
}
