//! Steps of tasks that keep the loop from everything else for too long: timed if asked for, and told.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::task_info::TaskInfo;
use crate::scheduling::Scheduler;
use crate::table::TaskId;

/// A step of a task that has kept the loop from everything else for too long.
#[derive(Debug, Clone)]
pub struct SlowPoll {
    /// Which task.
    pub task: TaskInfo,
    /// How long the step took.
    pub took: Duration,
    /// What was allowed.
    pub limit: Duration,
}

impl fmt::Display for SlowPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a step of {} took {:?} (more than {:?})", self.task, self.took, self.limit)
    }
}

/// Is told of every slow step.
type Tell = Rc<dyn Fn(&SlowPoll)>;

/// How a loop times the steps of its tasks.
#[derive(Default)]
pub(crate) struct Timing {
    /// `None`: not at all.
    pub(crate) limit: Cell<Option<Duration>>,
    tell: RefCell<Option<Tell>>,
}

impl Timing {
    /// Tells a function of slow steps, in place of standard error.
    pub(crate) fn tell(&self, tell: impl Fn(&SlowPoll) + 'static) {
        self.tell.replace(Some(Rc::new(tell)));
    }

    /// A step begins.
    #[inline]
    pub(crate) fn begin(&self) -> Option<(Duration, Instant)> {
        self.limit.get().map(|limit| (limit, Instant::now()))
    }

    /// It has ended.
    #[inline]
    pub(crate) fn end(&self, scheduler: &Scheduler, id: TaskId, begun: Option<(Duration, Instant)>) {
        if let Some((limit, began)) = begun {
            self.judge(scheduler, id, limit, began.elapsed());
        }
    }

    fn judge(&self, scheduler: &Scheduler, id: TaskId, limit: Duration, took: Duration) {
        if took < limit {
            return;
        }
        let slow = SlowPoll { task: TaskInfo::of(scheduler, id), took, limit };
        let tell = self.tell.borrow().clone();
        match tell {
            Some(tell) => tell(&slow),
            None => eprintln!("ourio: {slow}"),
        }
    }
}
