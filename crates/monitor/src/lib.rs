//! What is going on in a loop, seen from a thread of its own.
//!
//! A [`Watchdog`] looks at a loop's [`Pulse`](ourio_engine::Pulse) from a native thread, so that it sees a loop that is
//! blocked while it is blocked, whoever holds which lock; and asks the kernel what the blocked thread does
//! ([`ThreadState`]). It only reads: it takes no lock of the loop's, and runs none of its code.
#![forbid(unsafe_code)]

mod thread_state;
mod watchdog;

pub use thread_state::{Activity, SystemCall, ThreadState, own_delay};
pub use watchdog::{Stall, Watchdog};
