//! Making tasks of the loop that runs in this thread.

use std::future::Future as StdFuture;
use std::panic::Location;

use super::task::Task;
use crate::scheduling::running;

/// Runs a future as a task of the loop that runs in this thread.
///
/// # Panics
///
/// If no loop runs in this thread. [`EventLoop::spawn`](crate::EventLoop::spawn) needs none.
#[track_caller]
pub fn spawn<T: 'static>(future: impl StdFuture<Output = T> + 'static) -> Task<T> {
    Task::spawn(&running::expect(), future, None, Location::caller())
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
    Task::spawn(&running::expect(), future, Some(name.into()), Location::caller())
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
    Task::spawn(&running::expect(), future, None, Location::caller())
}
