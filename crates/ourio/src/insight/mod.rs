//! What is going on.

mod task_info;

pub use task_info::{Deadlock, OnDeadlock, SlowPoll, TaskInfo, all_tasks, current_task, task_tree};
