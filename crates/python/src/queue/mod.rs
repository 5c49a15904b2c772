//! What waits to run, and how it comes to.

pub(crate) mod call_soon;
pub(crate) mod callback;
pub(crate) mod entry;
pub(crate) mod handle;
pub(crate) mod ready_callback;
