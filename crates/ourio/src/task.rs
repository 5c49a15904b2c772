//! Tasks: coroutines that the loop drives, with a name, a state, and a result for whoever joins.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future as StdFuture;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use ourio_engine::Remote;

use crate::context;
use crate::error::{Cancelled, Panicked, TaskError};
use crate::event_loop::{self, Entry, Inner};

/// Names a task of a loop. It stays unique when its place is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskId {
    pub(crate) place: usize,
    pub(crate) serial: u64,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// It has not run yet.
    Created,
    /// It runs right now.
    Running,
    /// It waits.
    Suspended,
    /// It has returned.
    Finished,
    /// It was cancelled.
    Cancelled,
    /// It panicked.
    Panicked,
}

impl TaskState {
    /// Whether it is over, one way or another.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled | Self::Panicked)
    }
}

/// What is known about a task: for [`current_task`] and [`all_tasks`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskInfo {
    /// Its name: the one that was given, or `Task-N`.
    pub name: String,
    /// Where it stands.
    pub state: TaskState,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
}

/// What a loop needs to know of a task whose result it does not know.
pub(crate) trait Core {
    fn info(&self) -> TaskInfo;
    fn set_state(&self, state: TaskState);
    /// The reason of a cancellation that was asked for.
    fn cancellation(&self) -> Option<Cancelled>;
    /// It will never return.
    fn fail(&self, error: TaskError);
}

/// What a task shares with those who hold it.
struct Shared<T> {
    name: RefCell<Name>,
    spawned_at: &'static Location<'static>,
    state: Cell<TaskState>,
    /// `None` until it is done, and after it was taken.
    outcome: RefCell<Option<Result<T, TaskError>>>,
    cancellation: RefCell<Option<Cancelled>>,
    joiners: RefCell<Vec<Waker>>,
    callbacks: RefCell<Vec<DoneCallback>>,
    waker: RefCell<Option<Waker>>,
}

type DoneCallback = Box<dyn FnOnce(TaskState)>;

/// What the loop drives: a task whose result goes where the task's handle looks.
pub(crate) type Body = Pin<Box<dyn StdFuture<Output = ()>>>;

/// A name that is made up only if somebody asks.
enum Name {
    Given(String),
    Number(u64),
}

impl<T> Shared<T> {
    fn finish(&self, outcome: Result<T, TaskError>) {
        self.state.set(match &outcome {
            Ok(_) => TaskState::Finished,
            Err(TaskError::Panicked(_)) => TaskState::Panicked,
            Err(TaskError::Cancelled(_)) => TaskState::Cancelled,
        });
        self.outcome.replace(Some(outcome));
        self.waker.take();
        for joiner in self.joiners.take() {
            joiner.wake();
        }
        for callback in self.callbacks.take() {
            callback(self.state.get());
        }
    }
}

impl<T> Core for Shared<T> {
    fn info(&self) -> TaskInfo {
        let name = match &*self.name.borrow() {
            Name::Given(name) => name.clone(),
            Name::Number(number) => format!("Task-{number}"),
        };
        TaskInfo { name, state: self.state.get(), spawned_at: self.spawned_at }
    }

    fn set_state(&self, state: TaskState) {
        self.state.set(state);
    }

    fn cancellation(&self) -> Option<Cancelled> {
        self.cancellation.borrow().clone()
    }

    fn fail(&self, error: TaskError) {
        self.finish(Err(error));
    }
}

/// A task's place in its loop.
pub(crate) struct Slot {
    /// `None` while it runs.
    pub(crate) body: Option<Body>,
    pub(crate) core: Rc<dyn Core>,
    pub(crate) waker: Arc<TaskWaker>,
    /// `None` while it runs: it is the thread's then.
    pub(crate) context: Option<context::Context>,
    pub(crate) serial: u64,
}

/// Puts a task into its loop's queue, from any thread.
pub(crate) struct TaskWaker {
    id: TaskId,
    loop_id: u64,
    remote: Remote<Entry>,
    /// Set while the task is in the queue, so that it is there once.
    queued: AtomicBool,
}

impl TaskWaker {
    pub(crate) fn new(id: TaskId, loop_id: u64, remote: Remote<Entry>) -> Self {
        Self { id, loop_id, remote, queued: AtomicBool::new(false) }
    }

    /// It has been put into the queue by whoever made it.
    pub(crate) fn mark_queued(&self) {
        self.queued.store(true, Ordering::Release);
    }

    /// It has left the queue: from here on a wake-up puts it in again.
    pub(crate) fn leave_queue(&self) {
        self.queued.store(false, Ordering::Release);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            event_loop::enqueue(self.loop_id, &self.remote, Entry::Task(self.id));
        }
    }
}

/// A coroutine that the loop drives.
///
/// Dropping it lets the task go on. Awaiting it gives what the task returned, or why it did not; once, as it gives the
/// value itself away.
///
/// # Panics
///
/// Awaiting it again after it has given its result panics, as any future may.
#[must_use = "dropping it is fine, but say so: the task goes on, and nobody sees its result"]
pub struct Task<T> {
    shared: Rc<Shared<T>>,
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.shared.info();
        f.debug_struct("Task").field("name", &info.name).field("state", &info.state).finish_non_exhaustive()
    }
}

impl<T: 'static> Task<T> {
    /// Makes the task's two sides: the handle, and what the loop drives.
    pub(crate) fn new(
        future: impl StdFuture<Output = T> + 'static,
        name: Option<String>,
        serial: u64,
        spawned_at: &'static Location<'static>,
    ) -> (Self, Rc<dyn Core>, Body) {
        let shared = Rc::new(Shared {
            name: RefCell::new(name.map_or(Name::Number(serial), Name::Given)),
            spawned_at,
            state: Cell::new(TaskState::Created),
            outcome: RefCell::new(None),
            cancellation: RefCell::new(None),
            joiners: RefCell::default(),
            callbacks: RefCell::default(),
            waker: RefCell::new(None),
        });
        let own = Rc::clone(&shared);
        let body = Box::pin(async move {
            let returned = future.await;
            own.finish(Ok(returned));
        });
        (Self { shared: Rc::clone(&shared) }, shared, body)
    }

    pub(crate) fn set_waker(&self, waker: Waker) {
        self.shared.waker.replace(Some(waker));
    }
}

impl<T> Task<T> {
    /// Its name.
    pub fn name(&self) -> String {
        self.shared.info().name
    }

    /// Gives it another name.
    pub fn set_name(&self, name: impl Into<String>) {
        self.shared.name.replace(Name::Given(name.into()));
    }

    /// Where it stands.
    pub fn state(&self) -> TaskState {
        self.shared.state.get()
    }

    /// What is known about it.
    pub fn info(&self) -> TaskInfo {
        self.shared.info()
    }

    /// Whether it has returned, was cancelled, or panicked.
    pub fn done(&self) -> bool {
        self.state().is_done()
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.state() == TaskState::Cancelled
    }

    /// Asks the loop to cancel it: in the next turn its future is dropped where it waits, and whoever joins gets
    /// [`Cancelled`]. False if it is done already.
    ///
    /// A task that returns before that turn has returned: the cancellation is then lost, as it is in asyncio.
    pub fn cancel(&self) -> bool {
        self.request_cancellation(None)
    }

    /// As [`cancel`](Task::cancel), with a message for whoever joins.
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        self.request_cancellation(Some(message.into()))
    }

    /// Calls a function with how it ended once it is done; at once if it is done already.
    pub fn add_done_callback(&self, callback: impl FnOnce(TaskState) + 'static) {
        if self.done() {
            callback(self.state());
        } else {
            self.shared.callbacks.borrow_mut().push(Box::new(callback));
        }
    }

    /// What a task that is done has given; once.
    pub(crate) fn take_outcome(&self) -> Result<T, TaskError> {
        let outcome = self.shared.outcome.take();
        outcome.unwrap_or_else(|| panic!("a task is awaited after it has given its result"))
    }

    fn request_cancellation(&self, message: Option<String>) -> bool {
        if self.done() {
            return false;
        }
        self.shared.cancellation.replace(Some(Cancelled { message }));
        let waker = self.shared.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl<T> StdFuture for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.done() {
            let mut joiners = self.shared.joiners.borrow_mut();
            if !joiners.iter().any(|joiner| joiner.will_wake(context.waker())) {
                joiners.push(context.waker().clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(self.take_outcome())
    }
}

/// Runs a future as a task of the loop that runs in this thread.
///
/// # Panics
///
/// If no loop runs in this thread. [`EventLoop::spawn`](crate::EventLoop::spawn) needs none.
#[track_caller]
pub fn spawn<T: 'static>(future: impl StdFuture<Output = T> + 'static) -> Task<T> {
    event_loop::running().spawn_at(future, None, Location::caller())
}

/// As [`spawn`], with a name.
///
/// # Panics
///
/// As [`spawn`].
#[track_caller]
pub fn spawn_named<T: 'static>(
    name: impl Into<String>,
    future: impl StdFuture<Output = T> + 'static,
) -> Task<T> {
    event_loop::running().spawn_at(future, Some(name.into()), Location::caller())
}

/// The task that runs in this thread; `None` outside of one, as in a callback or in the future given to `run`.
pub fn current_task() -> Option<TaskInfo> {
    event_loop::with_running(Inner::current_task).flatten()
}

/// The tasks of the loop that runs in this thread that are not done, in order of their places.
pub fn all_tasks() -> Vec<TaskInfo> {
    event_loop::with_running(Inner::all_tasks).unwrap_or_default()
}

/// The error of a task whose body has panicked.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> TaskError {
    TaskError::Panicked(Panicked::new(payload))
}
