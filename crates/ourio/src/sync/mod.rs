//! Synchronisation between the tasks of a loop, with asyncio's names and rules.
//!
//! Everything here is fair: who waits first is served first, and nobody who comes later overtakes. Everything is safe
//! to cancel: a waiter that is dropped, also one whose turn had just come, takes nothing with it.
//!
//! Nothing here is `Send`. Threads speak to a loop through a [`LoopHandle`](crate::LoopHandle), through
//! [`to_thread`](crate::to_thread), or by waking its tasks.

mod barrier;
mod condition;
mod discipline;
mod event;
mod lock;
mod queue;
mod semaphore;

pub use barrier::{Barrier, BrokenBarrier};
pub use condition::Condition;
pub use discipline::{Discipline, Fifo, Lifo, Lowest};
pub use event::Event;
pub use lock::{Lock, LockGuard};
pub use queue::{
    LifoQueue, PriorityQueue, Queue, QueueEmpty, QueueFull, QueueShutDown, TryGetError, TryPutError,
};
pub use semaphore::{BoundedSemaphore, Permit, ReleasedTooOften, Semaphore};
