//! The tasks of a loop, by number.

mod announcement;
mod slot;

pub(crate) use announcement::Announcement;
pub(crate) use slot::{Body, Door, Rare, Slot, Stage, TaskId, TaskWaker};
