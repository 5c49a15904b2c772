//! Several at once.

#[expect(clippy::module_inception, reason = "a room is named after its main noun")]
mod gather;
mod wait;

pub(crate) use gather::join3;
pub use gather::{Gather, GatherAll, gather, gather_all};
pub use wait::{AsCompleted, Either, ReturnWhen, as_completed, race, wait};
