//! Processes of this one whose end somebody may wait for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll};

use ourio_engine::{ChildId, Exit};

use crate::scheduling::Scheduler;
use crate::table::Waits;
use crate::waiters::Waiter;

/// The children of one loop that have not ended.
pub(crate) struct Children {
    scheduler: Rc<Scheduler>,
    living: RefCell<BTreeMap<ChildId, Rc<ChildEnd>>>,
}

/// How a child has ended, once it has, and who waits for that.
#[derive(Default)]
pub(crate) struct ChildEnd {
    exit: Cell<Option<Exit>>,
    waiters: RefCell<Vec<Waiter>>,
}

impl ChildEnd {
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.exit.get()
    }

    /// Has the end of the child, which is this process, wake whoever polls with this context.
    pub(crate) fn poll(&self, context: &Context<'_>, pid: u32) -> Poll<Exit> {
        if let Some(exit) = self.exit.get() {
            return Poll::Ready(exit);
        }
        let waiter = Waiter::of(context, || Waits::Process(pid));
        let mut waiters = self.waiters.borrow_mut();
        if !waiters.iter().any(|earlier| earlier.is_same(&waiter)) {
            waiters.push(waiter);
        }
        Poll::Pending
    }
}

impl Children {
    pub(super) fn new(scheduler: Rc<Scheduler>) -> Self {
        Self { scheduler, living: RefCell::default() }
    }

    /// Has the end of a process reported, and the process reaped.
    pub(crate) fn watch(&self, pid: i32) -> ourio_engine::Result<Rc<ChildEnd>> {
        let child = self.scheduler.engine.borrow_mut().watch_child(pid)?;
        let end = Rc::new(ChildEnd::default());
        self.living.borrow_mut().insert(child, Rc::clone(&end));
        Ok(end)
    }

    pub(super) fn are_awaited(&self) -> bool {
        !self.living.borrow().is_empty()
    }

    pub(super) fn take_all(&self) -> impl Sized + use<> {
        self.living.take()
    }

    /// A child has ended: who waits for it goes on.
    pub(crate) fn deliver(&self, child: ChildId, exit: Exit) {
        let end = self.living.borrow_mut().remove(&child);
        if let Some(end) = end {
            end.exit.set(Some(exit));
            for waiter in end.waiters.take() {
                waiter.wake();
            }
        }
    }
}
