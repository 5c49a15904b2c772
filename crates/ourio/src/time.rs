//! Waiting: for a time, for one turn, and no longer than so long.

use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use ourio_engine::{Time, TimerId};

use crate::error::TimeoutError;
use crate::event_loop::{self, Inner};

/// Waits for at least so long. asyncio: `asyncio.sleep`.
///
/// The time begins when it is first awaited. Dropping it takes its timer back.
///
/// # Panics
///
/// Awaiting it panics if no loop runs in this thread.
pub fn sleep(delay: Duration) -> Sleep {
    Sleep { delay, armed: None }
}

/// What [`sleep`] gives.
#[derive(Debug)]
#[must_use = "nothing waits until it is awaited"]
pub struct Sleep {
    delay: Duration,
    armed: Option<Armed>,
}

struct Armed {
    inner: Weak<Inner>,
    deadline: Time,
    timer: TimerId,
}

impl std::fmt::Debug for Armed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Armed").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl StdFuture for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let running = event_loop::running();
        let now = running.now();
        let deadline = match &self.armed {
            Some(armed) => armed.deadline,
            None => now.saturating_add(self.delay),
        };
        if now >= deadline {
            self.disarm();
            return Poll::Ready(());
        }
        // Anew at each poll: the task may have been handed on, and its waker with it.
        self.disarm();
        let timer = running.wake_at(deadline, context.waker().clone());
        self.armed = Some(Armed { inner: Rc::downgrade(&running), deadline, timer });
        Poll::Pending
    }
}

impl Sleep {
    fn disarm(&mut self) {
        if let Some(armed) = self.armed.take()
            && let Some(inner) = armed.inner.upgrade()
        {
            inner.cancel_timer(armed.timer);
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
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Awaits a future for at most so long; afterwards it is dropped. asyncio: `asyncio.timeout`, `asyncio.wait_for`.
///
/// What is done in the turn in which the time runs out is done: the future is asked first.
///
/// # Errors
///
/// [`TimeoutError`] if the time ran out.
pub fn timeout<F: StdFuture>(delay: Duration, future: F) -> Timeout<F> {
    Timeout { future: Box::pin(future), time: sleep(delay) }
}

/// What [`timeout`] gives.
#[derive(Debug)]
#[must_use = "nothing runs until it is awaited"]
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    time: Sleep,
}

impl<F: StdFuture> StdFuture for Timeout<F> {
    type Output = Result<F::Output, TimeoutError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut self.time).poll(context).map(|()| Err(TimeoutError))
    }
}
