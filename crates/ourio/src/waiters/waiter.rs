//! Who is to be woken, and what it waits for.
//!
//! A task that awaits one of our own primitives is remembered by its number: no waker is cloned, waking it is an index
//! into the loop's table, and what it waits for can be told. Whatever polls through a waker of its own (a combinator
//! of another crate) is remembered by that waker.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::scheduling::Inner;
use crate::scheduling::running;
use crate::table::TaskId;

/// Somebody who waits.
#[derive(Clone)]
pub(crate) enum Waiter {
    Task(Rc<Inner>, TaskId),
    Waker(Waker),
}

impl Waiter {
    /// Whoever polls with this context; a task of ours is told what it waits for.
    pub(crate) fn of(context: &Context<'_>, waits: impl FnOnce() -> Waits) -> Self {
        let task = running::with(|running| {
            let id = running.polled_by(context)?;
            running.note(waits());
            Some((Rc::clone(running), id))
        });
        match task.flatten() {
            Some((inner, id)) => Self::Task(inner, id),
            None => Self::Waker(context.waker().clone()),
        }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Task(inner, id), Self::Task(other, other_id)) => {
                id == other_id && Rc::ptr_eq(inner, other)
            }
            (Self::Waker(waker), Self::Waker(other)) => waker.will_wake(other),
            _ => false,
        }
    }

    pub(crate) fn wake(self) {
        match self {
            Self::Task(inner, id) => inner.wake_task(id),
            Self::Waker(waker) => waker.wake(),
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(_, id) => id.fmt(f),
            Self::Waker(waker) => waker.fmt(f),
        }
    }
}

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

    /// The task that runs now holds it from here on; which one that is.
    pub(crate) fn hold(&self) -> Option<TaskId> {
        let id = running::with(|running| running.current()).flatten()?;
        self.holders.borrow_mut().insert(id);
        Some(id)
    }

    /// That task holds it no more.
    pub(crate) fn let_go(&self, id: Option<TaskId>) {
        if let Some(id) = id {
            self.holders.borrow_mut().remove(&id);
        }
    }
}
