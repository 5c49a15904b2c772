//! `Task`: a coroutine that the loop drives, with a name, a state, and a result for whoever joins.

use std::fmt;
use std::future::Future as StdFuture;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::insight::TaskInfo;
use crate::outcome::TaskError;
use crate::scheduling::{Scheduler, running};
use crate::table::{Body, Stage, TaskId, TaskState, Waits};

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
    scheduler: Rc<Scheduler>,
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
        self.scheduler.table.look(self.id, |slot| slot.rare().name = Some(name));
    }

    /// Where it stands.
    pub fn state(&self) -> TaskState {
        // Its place is kept for as long as the handle lives.
        self.scheduler.table.look(self.id, |slot| slot.state).unwrap_or(TaskState::Cancelled)
    }

    /// What is known about it.
    pub fn info(&self) -> TaskInfo {
        TaskInfo::of(&self.scheduler, self.id)
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
        self.scheduler.cancel(self.id, None)
    }

    /// As [`cancel`](Task::cancel), with a message for whoever joins.
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        self.scheduler.cancel(self.id, Some(message.into()))
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
            self.scheduler.table.look(self.id, |slot| slot.rare().callbacks.push(Box::new(callback)));
        }
    }
}

impl<T: 'static> Task<T> {
    /// Runs a future as a task of a loop.
    pub(crate) fn spawn(
        scheduler: &Rc<Scheduler>,
        future: impl StdFuture<Output = T> + 'static,
        name: Option<String>,
        spawned_at: &'static Location<'static>,
    ) -> Self {
        let id = scheduler.spawn(Box::pin(Stage::Running { future }), name, spawned_at);
        Self { scheduler: Rc::clone(scheduler), id, output: PhantomData }
    }

    /// What a task that is done has given; once.
    pub(crate) fn take_outcome(&self) -> Result<T, TaskError> {
        let taken = self.scheduler.table.look(self.id, |slot| {
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
        self.scheduler.let_go(self.id);
    }
}

impl<T: 'static> StdFuture for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let own = running::with(|running| {
            let joiner = running.current.polled_by(context)?;
            Some((joiner, Rc::ptr_eq(running, &self.scheduler)))
        });
        // Who polls through a waker of its own, or on another loop, is known by its waker.
        let joiner = own.flatten().filter(|(_, same)| *same).map(|(joiner, _)| joiner);
        let mut foreign = joiner.is_none().then(|| context.waker().clone());
        let looked = self.scheduler.table.look(self.id, |slot| {
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
            running::with(|running| running.current.note(Waits::Task(self.id)));
        }
        drop(before);
        Poll::Pending
    }
}
