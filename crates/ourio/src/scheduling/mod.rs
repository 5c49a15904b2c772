//! Scheduling: what runs next on a loop, and what runs now.
//!
//! A scheduler has a loop's tasks, its callbacks, and the engine in whose queue and among whose timers they stand. It
//! wakes, cancels and ends tasks; it does not poll them ([`event_loop`](crate::event_loop) does), and knows nothing of
//! descriptors, signals and processes.
//!
//! Which scheduler is the running one is the thread's to know: [`running`].

mod callbacks;
mod current;
mod handle;
pub(crate) mod running;
mod scheduler;

pub use handle::{Handle, call_later, call_soon};
pub(crate) use handle::{at, soon};
pub(crate) use scheduler::Scheduler;
