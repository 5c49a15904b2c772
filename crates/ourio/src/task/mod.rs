//! Tasks.

#[expect(clippy::module_inception, reason = "a room is named after its main noun")]
mod task;

pub(crate) use task::panicked;
pub use task::{SharedTask, Task, TaskState, shield, spawn, spawn_named};
