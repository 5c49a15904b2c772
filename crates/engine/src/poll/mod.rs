//! Asking which descriptors are ready: one contract, several backends.
//!
//! The contract, which `tests/poll_contract.rs` runs on every backend:
//!
//! 1. Level-triggered: a condition is reported at every wait for as long as it holds and is watched.
//! 2. Only what is watched is reported. An error or a hang-up counts as both readable and writable, so
//!    that whoever watches either side meets it in its next read or write.
//! 3. A registration that watches nothing is silent, even on a hang-up (epoll itself would go on
//!    reporting that for ever).
//! 4. An event never reaches a registration other than the one that was watching when it happened: each
//!    registration has a generation, and events of an older one are dropped.
//! 5. A registration that is armed reports once, and is silent until it is armed again. Arming asks nothing of
//!    what was before: it also works on a number that was closed and used again behind the engine's back.
//! 6. A wake-up from any thread ends a wait, also one that came just before the wait began.
//!
//! Epoll's own surprises are kept here: a descriptor that was closed while registered has left the set
//! silently, and one that was closed and reused may still be in it under its old generation.

mod backend;
mod epoll;
mod events;
mod interest;
mod registry;
mod scripted;

pub(crate) use backend::{Backend, Bell, Waiter};
pub use epoll::Epoll;
pub(crate) use events::{EventBuffer, event_buffer};
pub use interest::{Interest, IoEvent, Readiness, Token};
pub(crate) use registry::{Origin, Purpose, Registry};
pub use scripted::{ScriptHandle, Scripted};
