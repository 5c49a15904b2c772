//! Task groups: tasks that end together. asyncio: `asyncio.TaskGroup`.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future as StdFuture;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::outcome::{Cancelled, Panicked, TaskError};
use crate::scheduling::{Scheduler, call_soon, running};
use crate::table::{TaskId, WaitPoint, Waits};
use crate::task::Task;
use crate::waiters::Waiter;

/// Runs a body that may spawn tasks into a group, and ends when the body and all of them have ended.
///
/// The first that fails, by an error or a panic, cancels the others and the body; every error that has happened by the
/// time all have ended is reported. A task that is cancelled by itself is no failure. Tasks may spawn further ones into
/// their group.
///
/// If the group is itself dropped, as a cancelled task's is, its tasks are cancelled; asyncio waits for them to end,
/// here they are dropped in the loop's next turn.
///
/// ```
/// let total = ourio::run(ourio::task_group(|group| async move {
///     let tasks: Vec<_> = (1..=3).map(|n| group.spawn(async move { Ok::<_, String>(n * n) })).collect();
///     let mut total = 0;
///     for task in tasks {
///         total += task.await.expect("no sibling fails");
///     }
///     Ok(total)
/// }))?;
/// assert_eq!(total.expect("nobody fails"), 14);
/// # Ok::<(), ourio::Error>(())
/// ```
///
/// # Errors
///
/// [`GroupError`] with the errors of the body and the tasks.
#[track_caller]
pub fn task_group<V, E: 'static, F: StdFuture<Output = Result<V, E>>>(
    body: impl FnOnce(TaskGroup<E>) -> F,
) -> Grouping<V, E, F> {
    let point = WaitPoint::new("the tasks of its group");
    let shared = Shared {
        scheduler: RefCell::new(None),
        failures: RefCell::default(),
        phase: Cell::new(Phase::Open),
        waiter: RefCell::new(None),
        point,
    };
    let group = TaskGroup { shared: Rc::new(shared) };
    Grouping { body: Some(body(group.clone())), value: None, group: Owner(group) }
}

/// A group of tasks, as its body and its tasks see it. Clones are the same group.
pub struct TaskGroup<E> {
    shared: Rc<Shared<E>>,
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared) }
    }
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("tasks", &self.shared.point.holders.borrow().len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Somebody has failed: the others are being cancelled.
    Aborting,
    Over,
}

struct Shared<E> {
    /// The loop of its tasks, once there is one.
    scheduler: RefCell<Option<Rc<Scheduler>>>,
    failures: RefCell<Vec<Failure<E>>>,
    phase: Cell<Phase>,
    waiter: RefCell<Option<Waiter>>,
    /// Holds the tasks that have not ended.
    point: Rc<WaitPoint>,
}

/// How one of a group has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure<E> {
    /// It returned an error.
    Error(E),
    /// It panicked.
    Panicked(Panicked),
}

/// What has gone wrong in a group; asyncio: `ExceptionGroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupError<E> {
    /// In the order in which they happened; at least one.
    pub failures: Vec<Failure<E>>,
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unhandled errors in a task group ({})", self.failures.len())?;
        for failure in &self.failures {
            match failure {
                Failure::Error(error) => write!(f, "; {error}")?,
                Failure::Panicked(panicked) => write!(f, "; {panicked}")?,
            }
        }
        Ok(())
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for GroupError<E> {}

impl<E: 'static> TaskGroup<E> {
    /// Spawns a task into the group. Awaiting what is given gives its value, or says that it was cancelled.
    ///
    /// Once the group is ending the task is cancelled before it starts; asyncio raises `RuntimeError`.
    ///
    /// # Panics
    ///
    /// If no loop runs in this thread.
    #[track_caller]
    pub fn spawn<T: 'static>(&self, future: impl StdFuture<Output = Result<T, E>> + 'static) -> GroupTask<T> {
        self.spawn_at(future, None, Location::caller())
    }

    /// As [`TaskGroup::spawn`], with a name.
    ///
    /// # Panics
    ///
    /// As [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn_named<T: 'static>(
        &self,
        name: impl Into<String>,
        future: impl StdFuture<Output = Result<T, E>> + 'static,
    ) -> GroupTask<T> {
        self.spawn_at(future, Some(name.into()), Location::caller())
    }

    fn spawn_at<T: 'static>(
        &self,
        future: impl StdFuture<Output = Result<T, E>> + 'static,
        name: Option<String>,
        spawned_at: &'static Location<'static>,
    ) -> GroupTask<T> {
        let scheduler = running::expect();
        let group = self.clone();
        let body = async move {
            let mut future = std::pin::pin!(future);
            let contained = std::future::poll_fn(|context| {
                match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
                    Ok(polled) => polled.map(|returned| returned.map_err(Failure::Error)),
                    Err(payload) => Poll::Ready(Err(Failure::Panicked(Panicked::new(&*payload)))),
                }
            });
            match contained.await {
                Ok(value) => Some(value),
                Err(failure) => {
                    group.fail(failure);
                    None
                }
            }
        };
        let task = Task::spawn(&scheduler, body, name, spawned_at);
        let id = task.id();
        if self.shared.phase.get() == Phase::Open {
            self.shared.point.holders.borrow_mut().insert(id);
            let group = self.clone();
            task.add_done_callback(move |_| group.ended(id));
            drop(self.shared.scheduler.replace(Some(scheduler)));
        } else {
            task.cancel_with("the task group is shutting down");
        }
        GroupTask { task }
    }

    fn ended(&self, id: TaskId) {
        let mut children = self.shared.point.holders.borrow_mut();
        children.remove(&id);
        if children.is_empty() {
            drop(children);
            self.wake();
        }
    }

    fn fail(&self, failure: Failure<E>) {
        if self.shared.phase.get() == Phase::Over {
            return;
        }
        self.shared.failures.borrow_mut().push(failure);
        if self.shared.phase.replace(Phase::Aborting) == Phase::Open {
            // asyncio: in the next turn, so that what fails in this one is told as well.
            let group = self.clone();
            drop(call_soon(move || group.cancel_children()));
        }
        self.wake();
    }

    fn cancel_children(&self) {
        let children = self.shared.point.holders.borrow().clone();
        let scheduler = self.shared.scheduler.borrow().clone();
        let Some(scheduler) = scheduler else { return };
        for id in children {
            scheduler.cancel(id, Some("its task group is shutting down".to_owned()));
        }
    }

    fn wake(&self) {
        let waiter = self.shared.waiter.take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

/// A task of a group.
#[derive(Debug)]
pub struct GroupTask<T> {
    task: Task<Option<T>>,
}

impl<T> std::ops::Deref for GroupTask<T> {
    type Target = Task<Option<T>>;

    fn deref(&self) -> &Self::Target {
        &self.task
    }
}

impl<T: 'static> StdFuture for GroupTask<T> {
    type Output = Result<T, Cancelled>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Whoever has failed has told the group; what is left to say here is that there is no value.
        Pin::new(&mut self.task).poll(context).map(|outcome| match outcome {
            Ok(Some(value)) => Ok(value),
            Err(TaskError::Cancelled(cancelled)) => Err(cancelled),
            Ok(None) | Err(TaskError::Panicked(_)) => {
                Err(Cancelled { message: Some("the task has failed; its group knows why".to_owned()) })
            }
        })
    }
}

/// Cancels the tasks if the group is dropped before its end.
struct Owner<E: 'static>(TaskGroup<E>);

impl<E: 'static> Drop for Owner<E> {
    fn drop(&mut self) {
        if self.0.shared.phase.replace(Phase::Over) != Phase::Over {
            self.0.cancel_children();
        }
    }
}

pin_project! {
    /// What [`task_group`] gives.
    #[must_use = "nothing runs until it is awaited"]
    pub struct Grouping<V, E: 'static, F> {
        // `None` once it has ended, or somebody has failed.
        #[pin]
        body: Option<F>,
        value: Option<V>,
        group: Owner<E>,
    }
}

impl<V, E: 'static, F> fmt::Debug for Grouping<V, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.group.0.fmt(f)
    }
}

impl<V, E: 'static, F: StdFuture<Output = Result<V, E>>> StdFuture for Grouping<V, E, F> {
    type Output = Result<V, GroupError<E>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let group = this.group.0.clone();
        let shared = &group.shared;
        if shared.phase.get() == Phase::Open
            && let Some(body) = this.body.as_mut().as_pin_mut()
        {
            match body.poll(context) {
                Poll::Pending => {}
                Poll::Ready(Ok(value)) => {
                    *this.value = Some(value);
                    this.body.set(None);
                }
                Poll::Ready(Err(error)) => {
                    this.body.set(None);
                    group.fail(Failure::Error(error));
                }
            }
        }
        if shared.phase.get() != Phase::Open {
            this.body.set(None);
        }
        let waits_for_body = this.body.is_some();
        if waits_for_body || !shared.point.holders.borrow().is_empty() {
            // A body that waits has said for what.
            let waiter = if waits_for_body {
                let noted = running::with(|running| running.current.noted()).unwrap_or_default();
                Waiter::of(context, || noted)
            } else {
                Waiter::of(context, || Waits::Point(Rc::clone(&shared.point)))
            };
            drop(shared.waiter.replace(Some(waiter)));
            return Poll::Pending;
        }
        shared.phase.set(Phase::Over);
        let failures = shared.failures.take();
        match this.value.take() {
            Some(value) if failures.is_empty() => Poll::Ready(Ok(value)),
            _ => Poll::Ready(Err(GroupError { failures })),
        }
    }
}
