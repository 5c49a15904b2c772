//! The tasks of a loop, by number.
//!
//! A task is two allocations: its future (which becomes its result), and the waker that other threads may hold. All
//! else stands in the table, where the loop finds it by an index; what most tasks never have (a name of their own,
//! callbacks, a reason to end early) is behind one more pointer. A task's place is free again once it is over and nobody
//! holds its handle.

use std::any::Any;
use std::future::Future as StdFuture;
use std::num::NonZeroU32;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use ourio_engine::Remote;
use pin_project_lite::pin_project;

use crate::context;
use crate::error::TaskError;
use crate::scheduling::Entry;
use crate::scheduling::running;
use crate::table::Announcement;
use crate::task::TaskState;
use crate::waiters::Waits;

/// Names a task of a loop. It stays unique when its place is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId {
    pub(crate) place: u32,
    /// Not zero, so that an `Option` of it is no larger.
    pub(crate) serial: NonZeroU32,
}

impl TaskId {
    fn packed(self) -> u64 {
        u64::from(self.place) << 32 | u64::from(self.serial.get())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the number is two halves of 32 bits")]
    fn unpacked(packed: u64) -> Self {
        Self {
            place: (packed >> 32) as u32,
            serial: NonZeroU32::new(packed as u32).unwrap_or(NonZeroU32::MIN),
        }
    }
}

/// What the loop drives: a future, which its result replaces.
pub(crate) trait Body {
    fn drive(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()>;
    /// Moves the result into an `Option` of its type.
    fn take_output(self: Pin<&mut Self>, into: &mut dyn Any);
}

pin_project! {
    #[project = StageOf]
    pub(crate) enum Stage<F: StdFuture> {
        Running { #[pin] future: F },
        Returned { output: Option<F::Output> },
    }
}

impl<F: StdFuture> Body for Stage<F>
where
    F::Output: 'static,
{
    fn drive(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let StageOf::Running { future } = self.as_mut().project() {
            let output = ready!(future.poll(context));
            self.set(Stage::Returned { output: Some(output) });
        }
        Poll::Ready(())
    }

    fn take_output(self: Pin<&mut Self>, into: &mut dyn Any) {
        if let (StageOf::Returned { output }, Some(into)) = (self.project(), into.downcast_mut()) {
            *into = output.take();
        }
    }
}

/// A task's place in its loop.
pub(crate) struct Slot {
    /// `None` while it runs, for the main future, and after it was dropped.
    pub(crate) body: Option<Pin<Box<dyn Body>>>,
    /// `None` while it runs.
    pub(crate) waker: Option<Waker>,
    /// What `waker` is made of, to see whether anybody else has one. `None` once it is over.
    pub(crate) bell: Option<Arc<TaskWaker>>,
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
        self.bell.as_ref().is_none_or(|bell| Arc::strong_count(bell) <= 2)
    }
}

/// How other threads reach a loop.
pub(crate) struct Door {
    pub(crate) remote: Remote<Entry>,
}

/// Puts a task into its loop's queue, from any thread.
pub(crate) struct TaskWaker {
    /// A `TaskId`; another's, once nobody but the loop holds it.
    id: AtomicU64,
    door: Arc<Door>,
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

    /// It has arrived at its loop: from here on another thread sends it again.
    pub(crate) fn arrived(&self) {
        self.announcement.arrived();
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let here = running::with(|running| {
            let own = Arc::ptr_eq(&running.door, &self.door);
            if own {
                running.wake_task(self.id());
            }
            own
        });
        if here != Some(true) && self.announcement.announce() {
            // A loop that is closed wakes nobody.
            drop(self.door.remote.send(Entry::Woken(Arc::clone(self))));
        }
    }
}
