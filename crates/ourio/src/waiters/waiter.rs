//! Who is to be woken.
//!
//! A task that awaits one of our own primitives is remembered by its number: no waker is cloned, waking it is an index
//! into the loop's table, and what it waits for can be told. Whatever polls through a waker of its own (a combinator
//! of another crate) is remembered by that waker.

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::scheduling::{Scheduler, running};
use crate::table::{TaskId, Waits};

/// Somebody who waits.
#[derive(Clone)]
pub(crate) enum Waiter {
    Task(Rc<Scheduler>, TaskId),
    Waker(Waker),
}

impl Waiter {
    /// Whoever polls with this context; a task of ours is told what it waits for.
    pub(crate) fn of(context: &Context<'_>, waits: impl FnOnce() -> Waits) -> Self {
        let task = running::with(|running| {
            let id = running.current.polled_by(context)?;
            running.current.note(waits());
            Some((Rc::clone(running), id))
        });
        match task.flatten() {
            Some((scheduler, id)) => Self::Task(scheduler, id),
            None => Self::Waker(context.waker().clone()),
        }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Task(scheduler, id), Self::Task(other, other_id)) => {
                id == other_id && Rc::ptr_eq(scheduler, other)
            }
            (Self::Waker(waker), Self::Waker(other)) => waker.will_wake(other),
            _ => false,
        }
    }

    pub(crate) fn wake(self) {
        match self {
            Self::Task(scheduler, id) => scheduler.wake(id),
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
