//! Tasks as whoever spawns one sees them: a handle that joins, names, cancels and asks.
//!
//! What the loop knows of a task is in the [table](crate::table); what drives it is the turn of
//! [`event_loop`](crate::event_loop).

mod shared_task;
mod spawn;
#[expect(clippy::module_inception, reason = "a room is named after its main noun")]
mod task;

pub use shared_task::SharedTask;
pub use spawn::{shield, spawn, spawn_named};
pub use task::Task;
