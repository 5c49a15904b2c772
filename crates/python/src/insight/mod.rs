//! What tells others what the loop does: recorder, watchdog, monitor.

pub(crate) mod chained_hook;
pub(crate) mod monitor;
pub(crate) mod pending_call;
pub(crate) mod recording;
pub(crate) mod stall_watch;
pub(crate) mod stamps;
