//! Blocking calls, on threads of a bounded pool. asyncio: `to_thread`, `run_in_executor`.

use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::outcome::{Panicked, TaskError};
use crate::reactor;
use crate::scheduling::running;
use crate::table::{Entry, Waits};

/// Makes a blocking call on a thread, and awaits it.
///
/// The call begins now, as soon as one of the loop's threads is free, and runs to its end even if what this gives is
/// dropped. A panic of the call is an error of whoever awaits it.
///
/// In virtual time ([`testing`](crate::testing)) the call is made at once, in the loop's thread, so that every run is
/// the same.
///
/// asyncio hands a copy of the context over; values of [`ContextVar`](crate::ContextVar) need not be `Send`, so that
/// the call does not see them here.
///
/// ```
/// let sum = ourio::run(async { ourio::to_thread(|| (1..=10).sum::<u32>()).await })?;
/// assert_eq!(sum, Ok(55));
/// # Ok::<(), ourio::Error>(())
/// ```
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn to_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> ToThread<T> {
    let scheduler = running::expect();
    let exchange = Arc::new(Mutex::new(Exchange { outcome: None, waker: None }));
    if scheduler.is_simulated() {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        lock(&exchange).outcome = Some(outcome.map_err(|payload| TaskError::panicked(&*payload)));
        return ToThread { exchange };
    }
    let given = Arc::clone(&exchange);
    let reactor = reactor::running::expect();
    let spawned = reactor.jobs.pool().spawn(&scheduler.door.remote, call, move |outcome| {
        let mut exchange = lock(&given);
        exchange.outcome = Some(outcome.map_err(|payload| TaskError::panicked(&*payload)));
        Entry::Job(exchange.waker.take().map(Box::new))
    });
    match spawned {
        Ok(()) => reactor.jobs.begin(),
        // No thread can be started, or a million calls wait already.
        Err(error) => {
            let message = error.to_string();
            lock(&exchange).outcome = Some(Err(TaskError::Panicked(Panicked { message })));
        }
    }
    ToThread { exchange }
}

/// What [`to_thread`] gives.
#[must_use = "the call is made, but nobody sees its result until this is awaited"]
pub struct ToThread<T> {
    exchange: Arc<Mutex<Exchange<T>>>,
}

struct Exchange<T> {
    outcome: Option<Result<T, TaskError>>,
    waker: Option<Waker>,
}

fn lock<T>(exchange: &Mutex<Exchange<T>>) -> MutexGuard<'_, Exchange<T>> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> fmt::Debug for ToThread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToThread")
            .field("done", &lock(&self.exchange).outcome.is_some())
            .finish_non_exhaustive()
    }
}

impl<T> StdFuture for ToThread<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut exchange = lock(&self.exchange);
        if let Some(outcome) = exchange.outcome.take() {
            return Poll::Ready(outcome);
        }
        exchange.waker = Some(context.waker().clone());
        drop(exchange);
        running::with(|running| running.current.note(Waits::Thread));
        Poll::Pending
    }
}
