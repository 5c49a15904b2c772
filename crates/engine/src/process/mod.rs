//! What the kernel tells this process of itself: signals, and the ends of its children.
//!
//! Both arrive as descriptors that the [poller](crate::poll) watches, so that there is one place to wait at. What a signal
//! or an end means is the host's matter.

mod child;
mod signal;

pub use child::{ChildId, Exit};
pub(crate) use child::{Children, Reaping};
pub use signal::{SignalPipe, SignalWriter};
