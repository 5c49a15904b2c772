//! Waiting: for a time, for one turn, and no longer than so long.

use std::cell::Cell;
use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use ourio_engine::{Time, TimerId};
use pin_project_lite::pin_project;

use crate::error::TimeoutError;
use crate::scheduling::running;
use crate::scheduling::{Entry, Inner};
use crate::waiters::Waits;

/// Waits for at least so long. asyncio: `asyncio.sleep`.
///
/// The time begins when it is first awaited. Dropping it takes its timer back.
///
/// # Panics
///
/// Awaiting it panics if no loop runs in this thread.
pub fn sleep(delay: Duration) -> Sleep {
    Sleep { nanos: Time::ZERO.saturating_add(delay).as_nanos(), timer: None, home: Weak::new() }
}

/// What [`sleep`] gives.
#[must_use = "nothing waits until it is awaited"]
pub struct Sleep {
    /// How long; once it is armed, until when.
    nanos: u64,
    timer: Option<TimerId>,
    home: Weak<Inner>,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("armed", &self.timer.is_some()).finish_non_exhaustive()
    }
}

impl StdFuture for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let running = running::expect();
        if let Some(timer) = self.timer {
            let here = std::ptr::eq(self.home.as_ptr(), Rc::as_ptr(&running));
            if here && !running.engine.borrow().is_scheduled(timer) {
                // It has fired: there is nothing to take back.
                self.timer = None;
                return Poll::Ready(());
            }
            // Woken by something else, or on another loop. Armed anew: whoever polls may be another than before.
            self.disarm();
            if running.now().as_nanos() >= self.nanos {
                return Poll::Ready(());
            }
        } else {
            let deadline = running.now().saturating_add(Duration::from_nanos(self.nanos));
            if self.nanos == 0 {
                return Poll::Ready(());
            }
            self.nanos = deadline.as_nanos();
        }
        let entry = match running.polled_by(context) {
            Some(id) => {
                running.note(Waits::Time);
                Entry::Due(id)
            }
            None => Entry::Wake(Box::new(context.waker().clone())),
        };
        self.timer = Some(running.schedule_at(Time::from_nanos(self.nanos), entry));
        self.home = Rc::downgrade(&running);
        Poll::Pending
    }
}

impl Sleep {
    fn disarm(&mut self) {
        if let Some(timer) = self.timer.take()
            && let Some(inner) = self.home.upgrade()
        {
            inner.cancel_timer(timer);
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// Gives every other task that is ready its turn. asyncio: `asyncio.sleep(0)`.
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// What [`yield_now`] gives.
#[derive(Debug)]
#[must_use = "nothing is yielded until it is awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl StdFuture for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        let own = running::with(|running| {
            let own = running.polled_by(context).is_some();
            if own {
                running.run_again();
            }
            own
        });
        if own != Some(true) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

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
        let noted = running::with(|running| running.noted());
        if Pin::new(this.time).poll(context).is_pending() {
            running::with(|running| running.note(noted.unwrap_or_default()));
            return Poll::Pending;
        }
        if let Some(scope) = this.scope {
            scope.expired.set(true);
        }
        this.future.set(None);
        Poll::Ready(Err(TimeoutError))
    }
}
