//! What stands in a loop's queue, and how it gets there from other threads.
//!
//! Entries, the door to the queue, and the waker that puts its task into it name one another: they are one thing. What a
//! waker does in the loop's own thread is the scheduler's to say, which implements [`Wake`](std::task::Wake) for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use ourio_engine::{ChildId, Event, Exit, IoEvent, Remote};

use super::announcement::Announcement;
use super::task_id::TaskId;

/// What the engine schedules. Everything that is not `Send` is named by its place, so that an entry may come from any
/// thread. Two words: a million timers hold one each.
pub(crate) enum Entry {
    /// A task that was woken.
    Task(TaskId),
    /// A task whose time has come.
    Due(TaskId),
    /// The same for whoever is no task.
    Wake(Box<Waker>),
    /// A task that another thread has woken.
    Woken(Arc<TaskWaker>),
    /// Another thread wants a task to be cancelled.
    Cancel(Box<(TaskId, Option<String>)>),
    /// A callback of this loop's.
    Call(CallId),
    /// A callback that another thread has sent.
    Remote(Box<RemoteCall>),
    /// A blocking call has ended; whoever awaits it, if anybody does.
    Job(Option<Box<Waker>>),
    // What the engine reports.
    Io(IoEvent),
    Signal(i32),
    Child(Box<(ChildId, Exit)>),
}

pub(crate) struct RemoteCall(pub(crate) Box<dyn FnOnce() + Send>);

const _: () = assert!(size_of::<Entry>() <= 16);

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        match event {
            Event::Io(event) => Self::Io(event),
            Event::Signal(number) => Self::Signal(number),
            Event::Child { child, exit } => Self::Child(Box::new((child, exit))),
        }
    }
}

/// Names a callback of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallId {
    pub(crate) place: u32,
    pub(crate) serial: u32,
}

/// How other threads reach a loop.
pub(crate) struct Door {
    pub(crate) remote: Remote<Entry>,
}

/// Puts a task into its loop's queue, from any thread.
pub(crate) struct TaskWaker {
    /// A `TaskId`; another's, once nobody but the loop holds it.
    id: AtomicU64,
    pub(crate) door: Arc<Door>,
    announcement: Announcement,
}

impl TaskWaker {
    pub(crate) fn new(id: TaskId, door: Arc<Door>) -> Self {
        Self { id: AtomicU64::new(id.packed()), door, announcement: Announcement::new() }
    }

    pub(crate) fn id(&self) -> TaskId {
        // Whoever wakes has been given it after it was set, by way of something that orders the two.
        TaskId::unpacked(self.id.load(Ordering::Relaxed))
    }

    /// Makes it another task's. Nobody but the loop holds it, so that nothing is announced either.
    pub(crate) fn reuse(&self, id: TaskId) {
        self.id.store(id.packed(), Ordering::Relaxed);
    }

    /// Sends it to its loop, unless it is on its way there.
    pub(crate) fn send(self: &Arc<Self>) {
        if self.announcement.announce() {
            // A loop that is closed wakes nobody.
            drop(self.door.remote.send(Entry::Woken(Arc::clone(self))));
        }
    }

    /// It has arrived at its loop: from here on another thread sends it again.
    pub(crate) fn arrived(&self) {
        self.announcement.arrived();
    }
}
