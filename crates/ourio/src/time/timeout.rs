//! No longer than so long: futures that are dropped when a time has run out.

use std::cell::Cell;
use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::sleep::{Sleep, sleep};
use crate::scheduling::running;

/// Awaits a future for at most so long; afterwards it is dropped. asyncio: `asyncio.timeout`, `asyncio.wait_for`.
///
/// What is done in the turn in which the time runs out is done: the future is asked first. Timeouts nest: each gives
/// its own error to whoever awaits it. [`timeout_scope`] makes one whose end can be moved.
///
/// # Errors
///
/// [`TimeoutError`] if the time ran out.
pub fn timeout<F: StdFuture>(delay: Duration, future: F) -> Timeout<F> {
    Timeout { future: Some(future), time: sleep(delay), scope: None }
}

/// As [`timeout`]; `None` waits for ever. asyncio: `asyncio.wait_for`.
///
/// # Errors
///
/// [`TimeoutError`] if the time ran out.
pub async fn wait_for<F: StdFuture>(future: F, delay: Option<Duration>) -> Result<F::Output, TimeoutError> {
    match delay {
        Some(delay) => timeout(delay, future).await,
        None => Ok(future.await),
    }
}

/// As [`timeout`], with a handle that moves its end. asyncio: `async with asyncio.timeout() as t: t.reschedule(...)`.
///
/// ```
/// use std::time::Duration;
///
/// let ended = ourio::run(ourio::timeout_scope(Some(Duration::from_millis(1)), |timeout| async move {
///     timeout.reschedule(Some(Duration::from_secs(60)));
///     ourio::sleep(Duration::from_millis(5)).await;
///     "in time"
/// }))?;
/// assert_eq!(ended, Ok("in time"));
/// # Ok::<(), ourio::Error>(())
/// ```
pub fn timeout_scope<F: StdFuture>(
    delay: Option<Duration>,
    body: impl FnOnce(TimeoutHandle) -> F,
) -> Timeout<F> {
    let scope = TimeoutHandle { change: Rc::new(Cell::new(None)), expired: Rc::new(Cell::new(false)) };
    let time = sleep(delay.unwrap_or(Duration::MAX));
    Timeout { future: Some(body(scope.clone())), time, scope: Some(scope) }
}

/// Moves the end of a [`timeout_scope`], from inside of it. Clones move the same.
#[derive(Debug, Clone)]
pub struct TimeoutHandle {
    change: Rc<Cell<Option<Duration>>>,
    expired: Rc<Cell<bool>>,
}

impl TimeoutHandle {
    /// Sets the time that is left, from now on; `None` takes the end away. It holds from the next time that the scope
    /// waits.
    pub fn reschedule(&self, delay: Option<Duration>) {
        self.change.set(Some(delay.unwrap_or(Duration::MAX)));
    }

    /// Whether the time has run out.
    pub fn expired(&self) -> bool {
        self.expired.get()
    }
}

pin_project! {
    /// What [`timeout`] gives.
    #[must_use = "nothing runs until it is awaited"]
    pub struct Timeout<F> {
        // `None` once the time has run out.
        #[pin]
        future: Option<F>,
        time: Sleep,
        scope: Option<TimeoutHandle>,
    }
}

impl<F> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("time", &self.time).finish_non_exhaustive()
    }
}

impl<F: StdFuture> StdFuture for Timeout<F> {
    type Output = Result<F::Output, TimeoutError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(Err(TimeoutError)) };
        if let Poll::Ready(output) = future.poll(context) {
            return Poll::Ready(Ok(output));
        }
        if let Some(change) = this.scope.as_ref().and_then(|scope| scope.change.take()) {
            *this.time = sleep(change);
        }
        // What the future waits for is more telling than the time.
        let noted = running::with(|running| running.current.noted());
        if Pin::new(this.time).poll(context).is_pending() {
            running::with(|running| running.current.note(noted.unwrap_or_default()));
            return Poll::Pending;
        }
        if let Some(scope) = this.scope {
            scope.expired.set(true);
        }
        this.future.set(None);
        Poll::Ready(Err(TimeoutError))
    }
}

/// The time of a [`timeout`] ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeoutError;

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time ran out")
    }
}

impl std::error::Error for TimeoutError {}
