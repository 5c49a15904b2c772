//! What waits to run, and how it comes to: callbacks, their handles, the ready queue and the timers.
//!
//! The class here is [`Scheduler`](scheduler::Scheduler), the base of the event loop, with `call_soon` and its relatives.
//! The room knows no descriptor, no connection and no turn. What else waits in the queue says itself how it runs
//! ([`Entry::Step`](entry::Entry::Step)).

pub(crate) mod call_soon;
pub(crate) mod callback;
pub(crate) mod elision;
pub(crate) mod entry;
pub(crate) mod handle;
pub(crate) mod observer;
pub(crate) mod ready_callback;
pub(crate) mod report;
pub(crate) mod scheduler;
pub(crate) mod snapshot;
pub(crate) mod tasks;
