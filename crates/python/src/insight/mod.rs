//! What tells others what a loop does: the recorder, the stall watch, the monitor.
//!
//! Nothing below knows this room. The recorder is an [`Observer`](crate::queue::observer::Observer) of the queue; the other two
//! read the pages that a loop publishes, from threads of their own.

pub(crate) mod chained_hook;
pub(crate) mod monitor;
pub(crate) mod pending_call;
pub(crate) mod recording;
pub(crate) mod stall_watch;
pub(crate) mod stamps;
