//! `Handle`: a callback that a loop has been asked for, and can be asked to forget.

use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use ourio_engine::{Time, TimerId};

use super::running;
use super::scheduler::Scheduler;
use crate::table::{CallId, Entry};

/// Calls a function in the next turn of the loop that runs in this thread. asyncio: `get_running_loop().call_soon`.
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn call_soon(callback: impl FnOnce() + 'static) -> Handle {
    soon(&running::expect(), callback)
}

/// Calls a function after a delay, on the loop that runs in this thread.
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn call_later(delay: Duration, callback: impl FnOnce() + 'static) -> Handle {
    let scheduler = running::expect();
    let when = scheduler.now().saturating_add(delay);
    at(&scheduler, when, callback)
}

pub(crate) fn soon(scheduler: &Rc<Scheduler>, callback: impl FnOnce() + 'static) -> Handle {
    let id = scheduler.keep(Box::new(callback));
    scheduler.engine.borrow_mut().schedule(Entry::Call(id));
    Handle { scheduler: Rc::downgrade(scheduler), id, timer: None }
}

pub(crate) fn at(scheduler: &Rc<Scheduler>, when: Time, callback: impl FnOnce() + 'static) -> Handle {
    let id = scheduler.keep(Box::new(callback));
    let timer = scheduler.schedule_at(when, Entry::Call(id));
    Handle { scheduler: Rc::downgrade(scheduler), id, timer: Some(timer) }
}

/// A scheduled callback. Dropping it changes nothing.
pub struct Handle {
    scheduler: Weak<Scheduler>,
    id: CallId,
    timer: Option<TimerId>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Handle {
    /// Takes the callback back; false if it has run, or was taken back before.
    pub fn cancel(&self) -> bool {
        self.scheduler.upgrade().is_some_and(|scheduler| scheduler.take_back(self.id, self.timer))
    }
}
