//! What a task waits for: for whoever asks why it does not go on.
//!
//! Nothing is woken by it; who is to be woken stands in the list of what is waited for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::task_id::TaskId;

/// What a task waits for, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(crate) enum Waits {
    /// Something that is not ours.
    #[default]
    Unknown,
    /// Its next turn.
    Turn,
    Time,
    Task(TaskId),
    Readable(i32),
    Writable(i32),
    Thread,
    Signal,
    Process(u32),
    Point(Rc<WaitPoint>),
}

/// A thing of ours that tasks wait at.
#[derive(Debug)]
pub(crate) struct WaitPoint {
    pub(crate) what: &'static str,
    /// The tasks that could end the waiting: who holds a lock, whom a gather waits for.
    pub(crate) holders: RefCell<BTreeSet<TaskId>>,
}

impl WaitPoint {
    pub(crate) fn new(what: &'static str) -> Rc<Self> {
        Rc::new(Self { what, holders: RefCell::default() })
    }

    /// That task holds it from here on.
    pub(crate) fn hold(&self, id: Option<TaskId>) {
        if let Some(id) = id {
            self.holders.borrow_mut().insert(id);
        }
    }

    /// That task holds it no more.
    pub(crate) fn let_go(&self, id: Option<TaskId>) {
        if let Some(id) = id {
            self.holders.borrow_mut().remove(&id);
        }
    }
}
