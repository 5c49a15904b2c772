//! A task's slot: all that the loop knows of it.
//!
//! What most tasks never have (a name of their own, callbacks, a reason to end early) is behind one more pointer.

use std::num::NonZeroU32;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use super::body::Body;
use super::entry::TaskWaker;
use super::state::TaskState;
use super::task_id::TaskId;
use super::waits::Waits;
use crate::context;
use crate::outcome::TaskError;

/// A task's place in its loop.
pub(crate) struct Slot {
    /// `None` while it runs, for the main future, and after it was dropped.
    pub(crate) body: Option<Pin<Box<dyn Body>>>,
    /// `None` while it runs.
    pub(crate) waker: Option<Waker>,
    /// What `waker` is made of, to see whether anybody else has one. `None` once it is over.
    pub(crate) task_waker: Option<Arc<TaskWaker>>,
    /// Not here while it runs: it is the thread's then.
    pub(crate) context: context::Context,
    /// The task of this loop that awaits it.
    pub(crate) joiner: Option<TaskId>,
    pub(crate) rare: Option<Box<Rare>>,
    pub(crate) waits: Waits,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) serial: NonZeroU32,
    pub(crate) state: TaskState,
    /// It is in the ready queue.
    pub(crate) queued: bool,
    /// Somebody has its handle.
    pub(crate) held: bool,
    /// It is to be dropped in its next turn.
    pub(crate) cancelling: bool,
}

/// What most tasks never have.
#[derive(Default)]
pub(crate) struct Rare {
    pub(crate) name: Option<String>,
    /// Why it is to be dropped.
    pub(crate) message: Option<String>,
    /// Why it has given nothing.
    pub(crate) error: Option<TaskError>,
    /// Whoever awaits it and is no task of this loop.
    pub(crate) joiner: Option<Waker>,
    pub(crate) callbacks: Vec<DoneCallback>,
}

pub(crate) type DoneCallback = Box<dyn FnOnce(TaskState)>;

impl Slot {
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn name(&self) -> String {
        let given = self.rare.as_ref().and_then(|rare| rare.name.clone());
        given.unwrap_or_else(|| format!("Task-{}", self.serial))
    }

    /// Whether nobody but the loop can wake it.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        self.task_waker.as_ref().is_none_or(|task_waker| Arc::strong_count(task_waker) <= WAKERS_OF_THE_LOOP)
    }
}

/// A slot's two: `waker` and `task_waker`. Whoever else has one could wake the task.
pub(super) const WAKERS_OF_THE_LOOP: usize = 2;
