//! The event loop.

#[expect(clippy::module_inception, reason = "a room is named after its main noun")]
mod event_loop;

pub use event_loop::{
    EventLoop, Handle, LoopBuilder, LoopHandle, Outcome, call_later, call_soon, run, running_loop, time,
};
