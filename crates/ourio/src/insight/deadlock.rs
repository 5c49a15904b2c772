//! The deadlock: what it is, what is done about it, and how a loop finds that it is in one.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::task_info::TaskInfo;
use crate::scheduling::Scheduler;
use crate::table::TaskId;

/// What a loop does when every task waits for something that can never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDeadlock {
    /// The run ends with [`Error::Deadlock`](crate::Error::Deadlock), which says what each task waits for.
    #[default]
    Report,
    /// It waits, as asyncio does.
    Wait,
}

/// Every task waits, and nothing can wake any of them: no descriptor, timer, signal, process, other thread, or waker
/// that somebody outside of the loop holds.
#[derive(Debug, Clone)]
pub struct Deadlock {
    /// The tasks, and what each waits for.
    pub tasks: Vec<TaskInfo>,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deadlock: {} task(s) wait for what can never happen", self.tasks.len())?;
        self.tasks.iter().try_for_each(|task| write!(f, "\n  {task}"))
    }
}

/// Finds that a loop is in one: asked before each sleep that nothing would end.
#[derive(Default)]
pub(crate) struct DeadlockDetector {
    pub(crate) on_deadlock: Cell<OnDeadlock>,
    /// A task that could be woken from outside when it was last looked for.
    reachable: Cell<Option<TaskId>>,
}

impl DeadlockDetector {
    /// Whether nothing can ever happen again, although somebody waits; but for what has arrived meanwhile.
    ///
    /// Whether anything may come from outside the caller says: descriptors, signals, processes, blocking calls.
    pub(crate) fn is_stuck(&self, scheduler: &Scheduler, is_outside_awaited: impl FnOnce() -> bool) -> bool {
        let stuck = self.on_deadlock.get() == OnDeadlock::Report
            && !is_outside_awaited()
            && Arc::strong_count(&scheduler.handles) == 1
            && scheduler.table.is_out_of_reach(&self.reachable);
        // What a thread has sent before it let go of its handle or waker is seen from here on.
        fence(Ordering::Acquire);
        stuck
    }
}

impl Deadlock {
    pub(crate) fn of(scheduler: &Scheduler) -> Self {
        Self { tasks: TaskInfo::of_all(scheduler) }
    }
}
