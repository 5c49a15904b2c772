//! What is going on: the tasks, what each waits for, who waits for whom; polls that take too long; the deadlock.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::scheduling::running;
use crate::scheduling::{Entry, Inner};
use crate::table::{Door, TaskId};
use crate::task::TaskState;
use crate::waiters::Waits;

/// What is known about a task: for [`current_task`] and [`all_tasks`].
#[derive(Clone)]
pub struct TaskInfo {
    /// Its name: the one that was given, or `Task-N`.
    pub name: String,
    /// Where it stands.
    pub state: TaskState,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// What it waits for, in words; `None` while it does not wait, or waits for something that is not this crate's.
    pub waits_for: Option<String>,
    id: TaskId,
    door: Arc<Door>,
}

impl fmt::Debug for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskInfo")
            .field("name", &self.name)
            .field("state", &self.state)
            .field("spawned_at", &self.spawned_at)
            .field("waits_for", &self.waits_for)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}), spawned at {}", self.name, self.state, self.spawned_at)?;
        match &self.waits_for {
            Some(what) => write!(f, ", waits for {what}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
        })
    }
}

impl TaskInfo {
    pub(crate) fn of(inner: &Inner, id: TaskId) -> Self {
        inner.info(id)
    }

    /// Asks for the task to be cancelled, as [`Task::cancel`](crate::Task::cancel) does, from any thread. False if it
    /// is known to be done, or its loop closed.
    pub fn cancel(&self) -> bool {
        self.ask_to_cancel(None)
    }

    /// As [`cancel`](TaskInfo::cancel), with a message for whoever joins.
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        self.ask_to_cancel(Some(message.into()))
    }

    fn ask_to_cancel(&self, message: Option<String>) -> bool {
        let here = running::with(|running| {
            Arc::ptr_eq(&running.door, &self.door).then(|| running.cancel_task(self.id, message.clone()))
        });
        let elsewhere = || self.door.remote.send(Entry::Cancel(Box::new((self.id, message)))).is_ok();
        here.flatten().unwrap_or_else(elsewhere)
    }
}

/// The task that runs in this thread; `None` outside of one, as in a callback.
pub fn current_task() -> Option<TaskInfo> {
    running::with(|running| running.current().map(|id| TaskInfo::of(running, id))).flatten()
}

/// The tasks of the loop that runs in this thread that are not done, in order of their places.
///
/// The future that the loop was started with is one of them.
pub fn all_tasks() -> Vec<TaskInfo> {
    running::with(|running| running.all_tasks()).unwrap_or_default()
}

/// The tasks of the loop that runs in this thread as a tree: below each, what it waits for.
///
/// A task that waits for itself, by way of others, is marked as a cycle.
///
/// ```
/// let tree = ourio::run(async {
///     let worker = ourio::spawn_named("worker", std::future::pending::<()>());
///     let boss = ourio::spawn_named("boss", worker);
///     ourio::yield_now().await;
///     ourio::yield_now().await;
///     let tree = ourio::task_tree();
///     boss.cancel();
///     tree
/// })?;
/// let boss = tree.lines().position(|line| line.starts_with("boss")).expect("it is there");
/// assert!(tree.lines().nth(boss + 1).is_some_and(|line| line.contains("worker")));
/// # Ok::<(), ourio::Error>(())
/// ```
pub fn task_tree() -> String {
    running::with(|running| running.tree()).unwrap_or_default()
}

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

impl Inner {
    pub(crate) fn info(&self, id: TaskId) -> TaskInfo {
        let known = self.look(id, |slot| (slot.name(), slot.state, slot.spawned_at, slot.waits.clone()));
        let (name, state, spawned_at, waits) = known.unwrap_or_else(|| {
            ("a task that is gone".to_owned(), TaskState::Finished, Location::caller(), Waits::Unknown)
        });
        let waits_for = if state == TaskState::Suspended { self.describe(&waits) } else { None };
        TaskInfo { name, state, spawned_at, waits_for, id, door: Arc::clone(&self.door) }
    }

    pub(crate) fn all_tasks(&self) -> Vec<TaskInfo> {
        self.living().map(|id| self.info(id)).collect()
    }

    /// A step was timed.
    pub(crate) fn judge(&self, id: TaskId, limit: Duration, took: Duration) {
        if took < limit {
            return;
        }
        let slow = SlowPoll { task: self.info(id), took, limit };
        let tell = self.on_slow.borrow().clone();
        match tell {
            Some(tell) => tell(&slow),
            None => eprintln!("ourio: {slow}"),
        }
    }

    fn describe(&self, waits: &Waits) -> Option<String> {
        let name =
            |id: &TaskId| self.look(*id, |slot| slot.name()).unwrap_or_else(|| "a task that is gone".into());
        Some(match waits {
            Waits::Unknown => return None,
            Waits::Turn => "its turn".to_owned(),
            Waits::Time => "a time".to_owned(),
            Waits::Task(id) => name(id),
            Waits::Readable(fd) => format!("descriptor {fd} to be readable"),
            Waits::Writable(fd) => format!("descriptor {fd} to be writable"),
            Waits::Thread => "a thread".to_owned(),
            Waits::Signal => "a signal".to_owned(),
            Waits::Process(pid) => format!("process {pid}"),
            Waits::Point(point) => {
                let holders = point.holders.borrow();
                let living = holders.iter().filter(|id| self.is_living(**id));
                let names: Vec<_> = living.take(HOLDERS_SHOWN).map(name).collect();
                match names.len() {
                    0 => point.what.to_owned(),
                    _ => format!("{} ({})", point.what, names.join(", ")),
                }
            }
        })
    }

    fn is_living(&self, id: TaskId) -> bool {
        self.look(id, |slot| !slot.state.is_done()) == Some(true)
    }

    /// The tasks that could end what a task waits for.
    fn awaited_by(&self, id: TaskId) -> Vec<TaskId> {
        let waits = self.look(id, |slot| slot.waits.clone()).unwrap_or_default();
        let ids = match waits {
            Waits::Task(id) => vec![id],
            Waits::Point(point) => point.holders.borrow().iter().copied().collect(),
            _ => Vec::new(),
        };
        ids.into_iter().filter(|id| self.is_living(*id)).collect()
    }

    fn tree(&self) -> String {
        let all: Vec<_> = self.living().collect();
        let awaited: BTreeSet<_> = all.iter().flat_map(|id| self.awaited_by(*id)).collect();
        let mut text = String::new();
        let mut shown = BTreeSet::new();
        for id in all.iter().filter(|id| !awaited.contains(id)) {
            self.branch(*id, &mut Vec::new(), &mut shown, &mut text);
        }
        // What is left waits in a circle.
        for id in &all {
            if !shown.contains(id) {
                self.branch(*id, &mut Vec::new(), &mut shown, &mut text);
            }
        }
        text
    }

    fn branch(&self, id: TaskId, path: &mut Vec<TaskId>, shown: &mut BTreeSet<TaskId>, text: &mut String) {
        let indent = "  ".repeat(path.len());
        let info = self.info(id);
        if path.contains(&id) {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{indent}{} (a cycle)", info.name);
            return;
        }
        let _ = writeln!(text, "{indent}{info}");
        shown.insert(id);
        path.push(id);
        for awaited in self.awaited_by(id) {
            self.branch(awaited, path, shown, text);
        }
        path.pop();
    }
}

/// How many of those who hold something are named.
const HOLDERS_SHOWN: usize = 8;
