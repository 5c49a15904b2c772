//! The task table: the tasks of a loop by number, what each is made of and waits for, and who can wake it.
//!
//! A task is two allocations: its future (which becomes its result), and the waker that other threads may hold. All
//! else stands in its slot, where the loop finds it by an index. A task's place is free again once it is over and nobody
//! holds its handle.
//!
//! The table runs nothing and schedules nothing: it is looked at and changed by the scheduler and by what drives tasks.
//! No look at it may run anybody's code.

mod announcement;
mod body;
mod entry;
mod slot;
mod state;
mod task_id;
mod task_table;
mod waits;

pub(crate) use body::{Body, Stage};
pub(crate) use entry::{CallId, Door, Entry, RemoteCall, TaskWaker};
pub(crate) use slot::Slot;
pub use state::TaskState;
pub(crate) use task_id::TaskId;
pub(crate) use task_table::TaskTable;
pub(crate) use waits::{WaitPoint, Waits};
