//! Handles: what `call_soon`, `call_later` and `call_soon_threadsafe` return.

mod guard;
mod plain;
mod thread_safe;
mod timer;

pub(crate) use guard::{Guard, GuardedCallback};
pub(crate) use plain::{Handle, Seat};
pub(crate) use thread_safe::ThreadSafeHandle;
pub(crate) use timer::TimerHandle;
