//! `LoopHandle`: a loop as other threads see it.

use std::fmt;
use std::future::Future as StdFuture;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::outcome::{Cancelled, TaskError};
use crate::scheduling::{Scheduler, running};
use crate::table::{Door, Entry, RemoteCall};
use crate::task::spawn;

/// A handle of the loop that runs in this thread, for other threads.
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn running_loop() -> LoopHandle {
    LoopHandle::of(&running::expect())
}

/// A loop as other threads see it.
///
/// While one exists, the loop cannot tell that its tasks are deadlocked: somebody might still call.
#[derive(Clone)]
pub struct LoopHandle {
    door: Arc<Door>,
    _counted: Arc<()>,
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle").finish_non_exhaustive()
    }
}

impl LoopHandle {
    pub(super) fn of(scheduler: &Scheduler) -> Self {
        Self { door: Arc::clone(&scheduler.door), _counted: Arc::clone(&scheduler.handles) }
    }

    /// Calls a function in the loop's thread, and wakes the loop.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the loop is closed; the function is dropped.
    pub fn call_soon_threadsafe(&self, callback: impl FnOnce() + Send + 'static) -> Result<()> {
        let call = Entry::Remote(Box::new(RemoteCall(Box::new(callback))));
        self.door.remote.send(call).map_err(|_| Error::Closed)
    }

    /// Runs a future on the loop from another thread, which may wait for its outcome. asyncio:
    /// `run_coroutine_threadsafe`.
    ///
    /// The function makes the future in the loop's thread, so that the future itself need not be `Send`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the loop is closed.
    pub fn run_threadsafe<T, F>(&self, make: impl FnOnce() -> F + Send + 'static) -> Result<Outcome<T>>
    where
        F: StdFuture<Output = T> + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.call_soon_threadsafe(move || {
            let task = spawn(make());
            spawn(async move {
                // Nobody may be left who wants to know.
                drop(sender.send(task.await));
            })
            .detach();
        })?;
        Ok(Outcome { receiver })
    }
}

/// What [`LoopHandle::run_threadsafe`] gives. asyncio: `concurrent.futures.Future`.
#[derive(Debug)]
pub struct Outcome<T> {
    receiver: std::sync::mpsc::Receiver<Result<T, TaskError>>,
}

impl<T> Outcome<T> {
    /// Blocks this thread until the future is done.
    ///
    /// # Errors
    ///
    /// The task's error; cancelled, if its loop was closed before.
    pub fn wait(self) -> Result<T, TaskError> {
        let gone = || Err(TaskError::Cancelled(Cancelled::default()));
        self.receiver.recv().unwrap_or_else(|_| gone())
    }
}
