//! Tasks: coroutines that the loop drives, with a name, a state, and a result for whoever joins.

use std::any::Any;
use std::fmt;
use std::future::Future as StdFuture;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::error::{Panicked, TaskError};
use crate::future::Future;
use crate::insight::TaskInfo;
use crate::scheduling::Inner;
use crate::scheduling::running;
use crate::table::{Body, TaskId};
use crate::waiters::Waits;

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

/// A coroutine that the loop drives.
///
/// Dropping it lets the task go on. Awaiting it gives what the task returned, or why it did not; once, as it gives the
/// value itself away. [`Task::shared`] makes a handle that can be cloned and awaited any number of times.
///
/// # Panics
///
/// Awaiting it again after it has given its result panics, as any future may.
#[must_use = "dropping it is fine, but say so: the task goes on, and nobody sees its result"]
pub struct Task<T> {
    inner: Rc<Inner>,
    id: TaskId,
    output: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.info();
        f.debug_struct("Task").field("name", &info.name).field("state", &info.state).finish_non_exhaustive()
    }
}

impl<T> Task<T> {
    pub(crate) fn new(inner: Rc<Inner>, id: TaskId) -> Self {
        Self { inner, id, output: PhantomData }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.id
    }

    /// Its name: the one that was given, or `Task-N`.
    pub fn name(&self) -> String {
        self.info().name
    }

    /// Gives it another name.
    pub fn set_name(&self, name: impl Into<String>) {
        let name = name.into();
        self.inner.look(self.id, |slot| slot.rare().name = Some(name));
    }

    /// Where it stands.
    pub fn state(&self) -> TaskState {
        // Its place is kept for as long as the handle lives.
        self.inner.look(self.id, |slot| slot.state).unwrap_or(TaskState::Cancelled)
    }

    /// What is known about it.
    pub fn info(&self) -> TaskInfo {
        TaskInfo::of(&self.inner, self.id)
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
    /// [`Cancelled`](crate::Cancelled). False if it is done already.
    ///
    /// A task that returns before that turn has returned: the cancellation is then lost, as it is in asyncio.
    pub fn cancel(&self) -> bool {
        self.inner.cancel_task(self.id, None)
    }

    /// As [`cancel`](Task::cancel), with a message for whoever joins.
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        self.inner.cancel_task(self.id, Some(message.into()))
    }

    /// Lets the task go on without its handle: the same as dropping it, but says so.
    pub fn detach(self) {
        drop(self);
    }

    /// Calls a function with how it ended once it is done; at once if it is done already.
    pub fn add_done_callback(&self, callback: impl FnOnce(TaskState) + 'static) {
        let state = self.state();
        if state.is_done() {
            callback(state);
        } else {
            self.inner.look(self.id, |slot| slot.rare().callbacks.push(Box::new(callback)));
        }
    }
}

impl<T: 'static> Task<T> {
    /// A handle that can be cloned, and awaited any number of times.
    pub fn shared(self) -> SharedTask<T>
    where
        T: Clone,
    {
        let outcome = Future::new();
        let task = Rc::new(self);
        let (weak, set) = (Rc::downgrade(&task), outcome.clone());
        task.add_done_callback(move |_| {
            if let Some(task) = weak.upgrade() {
                set.set_result(task.take_outcome());
            }
        });
        SharedTask { task, outcome }
    }

    /// What a task that is done has given; once.
    pub(crate) fn take_outcome(&self) -> Result<T, TaskError> {
        let taken = self.inner.look(self.id, |slot| {
            let error = slot.rare.as_mut().and_then(|rare| rare.error.take());
            (slot.body.take(), error)
        });
        let (body, error) = taken.unwrap_or_default();
        unpack(body, error)
    }
}

/// The result of a task that is done, from what its place held.
fn unpack<T: 'static>(body: Option<Pin<Box<dyn Body>>>, error: Option<TaskError>) -> Result<T, TaskError> {
    match (error, body) {
        (Some(error), _) => Err(error),
        (None, Some(mut body)) => {
            let mut output: Option<T> = None;
            body.as_mut().take_output(&mut output);
            output.map_or_else(|| awaited_twice(), Ok)
        }
        (None, None) => awaited_twice(),
    }
}

#[cold]
fn awaited_twice() -> ! {
    panic!("a task is awaited after it has given its result")
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.inner.let_go(self.id);
    }
}

impl<T: 'static> StdFuture for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let own = running::with(|running| {
            let joiner = running.polled_by(context)?;
            Some((joiner, Rc::ptr_eq(running, &self.inner)))
        });
        // Who polls through a waker of its own, or on another loop, is known by its waker.
        let joiner = own.flatten().filter(|(_, same)| *same).map(|(joiner, _)| joiner);
        let mut foreign = joiner.is_none().then(|| context.waker().clone());
        let looked = self.inner.look(self.id, |slot| {
            if slot.state.is_done() {
                return Ok((slot.body.take(), slot.rare.as_mut().and_then(|rare| rare.error.take())));
            }
            slot.joiner = joiner;
            Err(match (foreign.take(), &mut slot.rare) {
                (None, None) => None,
                (None, Some(rare)) => rare.joiner.take(),
                (foreign, _) => std::mem::replace(&mut slot.rare().joiner, foreign),
            })
        });
        let before = match looked {
            Some(Ok((body, error))) => return Poll::Ready(unpack(body, error)),
            Some(Err(before)) => before,
            None => None,
        };
        if own.flatten().is_some() {
            running::with(|running| running.note(Waits::Task(self.id)));
        }
        drop(before);
        Poll::Pending
    }
}

/// A task that can be awaited any number of times. Clones are the same task.
pub struct SharedTask<T> {
    task: Rc<Task<T>>,
    outcome: Future<Result<T, TaskError>>,
}

impl<T> Clone for SharedTask<T> {
    fn clone(&self) -> Self {
        Self { task: Rc::clone(&self.task), outcome: self.outcome.clone() }
    }
}

impl<T> fmt::Debug for SharedTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task.fmt(f)
    }
}

impl<T> std::ops::Deref for SharedTask<T> {
    type Target = Task<T>;

    fn deref(&self) -> &Task<T> {
        &self.task
    }
}

impl<T: Clone + 'static> SharedTask<T> {
    /// What it has given, if it is done.
    pub fn result(&self) -> Option<Result<T, TaskError>> {
        self.outcome.result().map(|outcome| outcome.unwrap_or_else(|never| Err(TaskError::Cancelled(never))))
    }
}

impl<T: Clone + 'static> StdFuture for SharedTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let waiting = Pin::new(&mut this.outcome).poll(context);
        if waiting.is_pending() {
            let id = this.task.id();
            running::with(|running| running.note(Waits::Task(id)));
        }
        waiting.map(|outcome| outcome.unwrap_or_else(|never| Err(TaskError::Cancelled(never))))
    }
}

/// Runs a future as a task of the loop that runs in this thread.
///
/// # Panics
///
/// If no loop runs in this thread. [`EventLoop::spawn`](crate::EventLoop::spawn) needs none.
#[track_caller]
pub fn spawn<T: 'static>(future: impl StdFuture<Output = T> + 'static) -> Task<T> {
    running::expect().spawn_at(future, None, Location::caller())
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
    running::expect().spawn_at(future, Some(name.into()), Location::caller())
}

/// Awaits a future as a task of its own, which goes on if the one that awaits it is cancelled. asyncio: `shield`.
///
/// The task is spawned now, not when it is first awaited.
///
/// # Panics
///
/// As [`spawn`].
#[track_caller]
pub fn shield<T: 'static>(future: impl StdFuture<Output = T> + 'static) -> Task<T> {
    running::expect().spawn_at(future, None, Location::caller())
}

/// The error of a task whose body has panicked.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> TaskError {
    TaskError::Panicked(Panicked::new(payload))
}
