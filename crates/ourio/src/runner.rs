//! `run` and `Runner`: a main future on a loop of its own; several on one, and an end that signals ask for. asyncio:
//! `asyncio.run`, `asyncio.Runner`.

use std::future::Future as StdFuture;

use crate::error::{Error, Result};
use crate::event_loop::{EventLoop, LoopBuilder};
use crate::insight::current_task;
use crate::signal::listen;
use crate::task::{Task, spawn_named};

/// Runs a future to its end on a loop of its own. asyncio: `asyncio.run`.
///
/// Tasks that are left when it ends are dropped.
///
/// # Errors
///
/// [`Error::Running`] inside of another loop, [`Error::System`] if the kernel refuses a loop, [`Error::Panicked`] if
/// the future panics, [`Error::Deadlock`] if it and every task wait for what can never happen,
/// [`Error::Cancelled`] if the future's own task was cancelled.
#[track_caller]
pub fn run<T>(future: impl StdFuture<Output = T>) -> Result<T> {
    EventLoop::new()?.run_until_complete(future)
}

/// The tasks that wait for signals, for as long as a run takes.
#[derive(Default)]
struct Shutdowns(Vec<Task<()>>);

impl Drop for Shutdowns {
    fn drop(&mut self) {
        for task in &self.0 {
            task.cancel();
        }
    }
}

/// Runs futures on a loop of its own, one after another, and ends them on signals.
///
/// ```
/// let runner = ourio::Runner::new()?;
/// let first = runner.run(async { 1 })?;
/// let second = runner.run(async { first + 1 })?;
/// assert_eq!(second, 2);
/// # Ok::<(), ourio::Error>(())
/// ```
#[derive(Debug)]
pub struct Runner {
    event_loop: EventLoop,
    signals: Vec<i32>,
}

impl Runner {
    /// A runner with a loop of the usual kind.
    ///
    /// # Errors
    ///
    /// As [`EventLoop::new`].
    pub fn new() -> Result<Self> {
        Self::with(EventLoop::builder())
    }

    /// A runner with a loop of one's choice.
    ///
    /// # Errors
    ///
    /// As [`LoopBuilder::build`].
    pub fn with(builder: LoopBuilder) -> Result<Self> {
        Ok(Self { event_loop: builder.build()?, signals: Vec::new() })
    }

    /// Ends a run gracefully on these signals: its future is cancelled, which runs destructors, and the run gives
    /// [`Error::Cancelled`] with the signal's number in its message.
    ///
    /// asyncio does this for `SIGINT` always; a Rust program says so.
    #[must_use]
    pub fn shutdown_on(mut self, signals: impl IntoIterator<Item = i32>) -> Self {
        self.signals.extend(signals);
        self
    }

    /// Its loop.
    pub fn event_loop(&self) -> &EventLoop {
        &self.event_loop
    }

    /// Runs a future to its end.
    ///
    /// # Errors
    ///
    /// As [`EventLoop::run_until_complete`]; [`Error::System`] for a signal that cannot be caught.
    #[track_caller]
    pub fn run<T>(&self, future: impl StdFuture<Output = T>) -> Result<T> {
        if self.signals.is_empty() {
            return self.event_loop.run_until_complete(future);
        }
        let signals = self.signals.clone();
        let interruptible = async move {
            let own = current_task();
            let mut shutdowns = Shutdowns::default();
            for signal in &signals {
                let (own, number) = (own.clone(), *signal);
                let mut arrivals = listen(number)?;
                shutdowns.0.push(spawn_named(format!("shutdown on signal {number}"), async move {
                    arrivals.recv().await;
                    if let Some(own) = own {
                        own.cancel_with(format!("signal {number}"));
                    }
                }));
            }
            Ok::<_, Error>(future.await)
        };
        self.event_loop.run_until_complete(interruptible)?
    }

    /// Drops what is left, and closes the loop.
    pub fn close(self) {
        drop(self);
    }
}
