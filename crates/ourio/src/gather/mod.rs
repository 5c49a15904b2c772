//! Several at once: all of them in order, some of them, one after another, whichever is first.
//!
//! Nothing here cancels a task: [`task_group`](crate::task_group) is what does.

mod as_completed;
mod countdown;
#[expect(clippy::module_inception, reason = "a room is named after its main noun")]
mod gather;
mod race;
mod wait;

pub use as_completed::{AsCompleted, as_completed};
pub use gather::{Gather, GatherAll, gather, gather_all};
pub(crate) use race::join3;
pub use race::{Either, race};
pub use wait::{ReturnWhen, wait};
