//! Awaiting some of several tasks: until one is done, until one fails, one after another.

use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use super::gather::{Countdown, Until};
use crate::error::TaskError;
use crate::task::Task;
use crate::time::timeout;

/// What [`wait`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReturnWhen {
    /// One of them is done.
    FirstCompleted,
    /// One of them has panicked or was cancelled, or all are done.
    ///
    /// asyncio does not count a cancelled task here; it has no panicking ones.
    FirstException,
    /// All of them are done.
    #[default]
    AllCompleted,
}

/// Waits for some of several tasks, or for a time: those that are done and those that are not, each in the order given.
///
/// Nobody is cancelled, also when the time runs out, which is no error. Without tasks it is done at once, where asyncio
/// raises `ValueError`.
pub async fn wait<T: 'static>(
    tasks: Vec<Task<T>>,
    return_when: ReturnWhen,
    delay: Option<Duration>,
) -> (Vec<Task<T>>, Vec<Task<T>>) {
    let countdown = Countdown::one_by_one(&tasks);
    let ready = std::future::poll_fn(|context| {
        let (is_over, until) = match return_when {
            ReturnWhen::FirstCompleted => (countdown.any_done(), Until::One),
            ReturnWhen::FirstException => (countdown.has_failed(), Until::AllOrOneHasFailed),
            ReturnWhen::AllCompleted => (false, Until::All),
        };
        if is_over || countdown.left() == 0 {
            return Poll::Ready(());
        }
        countdown.waits(context, until);
        Poll::Pending
    });
    match delay {
        None => ready.await,
        // Running out of time is a way to be done.
        Some(delay) => drop(timeout(delay, ready).await),
    }
    tasks.into_iter().partition(Task::done)
}

/// The results of several tasks in the order in which they become done. asyncio: `as_completed`.
///
/// It is a [`Stream`], and has [`AsCompleted::next`] for those who have no other use for one. What has not become done
/// when it is dropped goes on.
///
/// ```
/// use std::time::Duration;
///
/// let order = ourio::run(async {
///     let tasks = [30, 10, 20].map(|millis| ourio::spawn(async move {
///         ourio::sleep(Duration::from_millis(millis)).await;
///         millis
///     }));
///     let mut done = ourio::as_completed(tasks.into());
///     let mut order = Vec::new();
///     while let Some(result) = done.next().await {
///         order.push(result.expect("no panic"));
///     }
///     order
/// })?;
/// assert_eq!(order, [10, 20, 30]);
/// # Ok::<(), ourio::Error>(())
/// ```
pub fn as_completed<T: 'static>(tasks: Vec<Task<T>>) -> AsCompleted<T> {
    let countdown = Countdown::one_by_one(&tasks);
    AsCompleted { tasks: tasks.into_iter().map(Some).collect(), countdown }
}

/// What [`as_completed`] gives.
#[must_use = "nothing is awaited until it is asked"]
pub struct AsCompleted<T> {
    tasks: Vec<Option<Task<T>>>,
    countdown: Rc<Countdown>,
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.countdown.left()).finish_non_exhaustive()
    }
}

impl<T> Unpin for AsCompleted<T> {}

impl<T: 'static> AsCompleted<T> {
    /// The next result; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<T, TaskError>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<T: 'static> Stream for AsCompleted<T> {
    type Item = Result<T, TaskError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(place) = self.countdown.next_done() {
            let task = self.tasks.get_mut(place).and_then(Option::take);
            return Poll::Ready(task.map(|task| task.take_outcome()));
        }
        if self.countdown.left() == 0 {
            return Poll::Ready(None);
        }
        self.countdown.waits(context, Until::One);
        Poll::Pending
    }
}

/// Awaits two futures in one task until one of them is done, and drops the other.
///
/// The first is asked first. asyncio has [`wait`] with `FIRST_COMPLETED` for it, which needs tasks.
pub async fn race<A: StdFuture, B: StdFuture>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    std::future::poll_fn(move |context| {
        if let Poll::Ready(output) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(output));
        }
        second.as_mut().poll(context).map(Either::Second)
    })
    .await
}

/// Which of two was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
}
