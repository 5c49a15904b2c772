//! Some of several tasks: until one is done, until one fails, until a time.

use std::task::Poll;
use std::time::Duration;

use super::countdown::{Countdown, Until};
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
            ReturnWhen::FirstException => (countdown.failed().is_some(), Until::AllOrOneHasFailed),
            ReturnWhen::AllCompleted => (false, Until::All),
        };
        if is_over || countdown.left() == 0 {
            return Poll::Ready(());
        }
        countdown.wait(context, until);
        Poll::Pending
    });
    match delay {
        None => ready.await,
        // Running out of time is a way to be done.
        Some(delay) => drop(timeout(delay, ready).await),
    }
    tasks.into_iter().partition(Task::done)
}
