//! The task that runs: which it is, by what waker it is polled, and what it says of itself meanwhile.

use std::cell::Cell;
use std::ptr;
use std::task::{Context, RawWakerVTable, Waker};

use crate::table::{TaskId, Waits};

/// What one scheduler knows of the task that runs.
#[derive(Default)]
pub(crate) struct Current {
    task: Cell<Option<Polled>>,
    /// What the task has said last that it waits for.
    noted: Cell<Waits>,
    /// The task is to have another turn.
    again: Cell<bool>,
}

/// A task, and the waker that it is polled with.
#[derive(Clone, Copy)]
pub(crate) struct Polled {
    id: TaskId,
    data: *const (),
    vtable: &'static RawWakerVTable,
}

impl Current {
    /// A task is polled from here on; gives the one that was before.
    #[inline]
    pub(crate) fn enter(&self, id: TaskId, waker: &Waker) -> Option<Polled> {
        self.task.replace(Some(Polled { id, data: waker.data(), vtable: waker.vtable() }))
    }

    /// It is polled no more.
    #[inline]
    pub(crate) fn leave(&self, before: Option<Polled>) {
        self.task.set(before);
    }

    /// The task that runs.
    pub(crate) fn task(&self) -> Option<TaskId> {
        self.task.get().map(|current| current.id)
    }

    /// The task that polls with this context, if it does so itself.
    #[inline]
    pub(crate) fn polled_by(&self, context: &Context<'_>) -> Option<TaskId> {
        let current = self.task.get()?;
        let waker = context.waker();
        (waker.data() == current.data && ptr::eq(waker.vtable(), current.vtable)).then_some(current.id)
    }

    /// What the task that runs waits for, should it wait now.
    #[inline]
    pub(crate) fn note(&self, waits: Waits) {
        let before = self.noted.replace(waits);
        drop(before);
    }

    /// What it has noted last.
    pub(crate) fn noted(&self) -> Waits {
        let noted = self.noted.take();
        self.noted.set(noted.clone());
        noted
    }

    /// The task that runs has another turn, after all that is ready.
    #[inline]
    pub(crate) fn run_again(&self) {
        self.again.set(true);
    }

    /// What it has noted, and whether it is to run again: it has been polled.
    #[inline]
    pub(crate) fn take(&self) -> (Waits, bool) {
        (self.noted.take(), self.again.replace(false))
    }
}
