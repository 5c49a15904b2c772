//! What is known about a task, for people, and by which other threads can cancel it.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::scheduling::{Scheduler, running};
use crate::table::{Door, Entry, Slot, TaskId, TaskState, TaskTable, Waits};

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

impl TaskInfo {
    pub(crate) fn of(scheduler: &Scheduler, id: TaskId) -> Self {
        let look = |slot: &mut Slot| (slot.name(), slot.state, slot.spawned_at, slot.waits.clone());
        let (name, state, spawned_at, waits) = scheduler
            .table
            .look(id, look)
            .unwrap_or_else(|| (GONE.to_owned(), TaskState::Finished, Location::caller(), Waits::Unknown));
        let waits_for = if state == TaskState::Suspended { describe(&scheduler.table, &waits) } else { None };
        Self { name, state, spawned_at, waits_for, id, door: Arc::clone(&scheduler.door) }
    }

    /// What is known about every task that is not done, in order of their places.
    pub(super) fn of_all(scheduler: &Scheduler) -> Vec<Self> {
        scheduler.table.living().map(|id| Self::of(scheduler, id)).collect()
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
            Arc::ptr_eq(&running.door, &self.door).then(|| running.cancel(self.id, message.clone()))
        });
        let elsewhere = || self.door.remote.send(Entry::Cancel(Box::new((self.id, message)))).is_ok();
        here.flatten().unwrap_or_else(elsewhere)
    }
}

/// The task that runs in this thread; `None` outside of one, as in a callback.
pub fn current_task() -> Option<TaskInfo> {
    running::with(|running| running.current.task().map(|id| TaskInfo::of(running, id))).flatten()
}

/// The tasks of the loop that runs in this thread that are not done, in order of their places.
///
/// The future that the loop was started with is one of them.
pub fn all_tasks() -> Vec<TaskInfo> {
    running::with(|running| TaskInfo::of_all(running)).unwrap_or_default()
}

/// What a task waits for, in words.
fn describe(table: &TaskTable, waits: &Waits) -> Option<String> {
    let name = |id: &TaskId| table.look(*id, |slot| slot.name()).unwrap_or_else(|| GONE.to_owned());
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
            let living = holders.iter().filter(|id| is_living(table, **id));
            let names: Vec<_> = living.take(HOLDERS_SHOWN).map(name).collect();
            match names.len() {
                0 => point.what.to_owned(),
                _ => format!("{} ({})", point.what, names.join(", ")),
            }
        }
    })
}

pub(super) fn is_living(table: &TaskTable, id: TaskId) -> bool {
    table.look(id, |slot| !slot.state.is_done()) == Some(true)
}

/// How one is called that somebody still waits for.
const GONE: &str = "a task that is gone";

/// How many of those who hold something are named.
const HOLDERS_SHOWN: usize = 8;
