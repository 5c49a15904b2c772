//! What the kernel tells this process of itself: signals, and the ends of its children.

mod child;
mod signal;

pub use child::{ChildId, Exit};
pub(crate) use child::{Children, Reaping};
pub use signal::{SignalPipe, SignalWriter};
