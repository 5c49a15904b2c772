//! Insight: the tasks, what each waits for, who waits for whom; steps that take too long; the deadlock.
//!
//! It reads the table, when it is asked, and costs nothing otherwise. What a task waits for it says of itself while it
//! is polled.

mod deadlock;
mod slow_poll;
mod task_info;
mod tree;

pub(crate) use deadlock::DeadlockDetector;
pub use deadlock::{Deadlock, OnDeadlock};
pub use slow_poll::SlowPoll;
pub(crate) use slow_poll::Timing;
pub use task_info::{TaskInfo, all_tasks, current_task};
pub use tree::task_tree;
