//! The event loop: how it is made and run, what it can be asked for, and its turn.
//!
//! It drives what the [scheduler](crate::scheduling) has ready and hands the [reactor](crate::reactor) what the engine
//! reports; both know nothing of it. No room below this one starts or stops a loop.

mod builder;
mod driver;
#[expect(clippy::module_inception, reason = "a room is named after its main noun")]
mod event_loop;
mod loop_handle;
mod main_future;

pub use builder::LoopBuilder;
pub use event_loop::EventLoop;
pub use loop_handle::{LoopHandle, Outcome, running_loop};
