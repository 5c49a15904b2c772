//! Several tasks one after another, as they become done.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::countdown::{Countdown, Until};
use crate::outcome::TaskError;
use crate::task::Task;

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
        self.countdown.wait(context, Until::One);
        Poll::Pending
    }
}
