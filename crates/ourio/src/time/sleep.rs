//! Waiting for a time, and for one turn.

use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use ourio_engine::{Time, TimerId};

use crate::scheduling::{Scheduler, running};
use crate::table::{Entry, Waits};

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
    home: Weak<Scheduler>,
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
        let entry = match running.current.polled_by(context) {
            Some(id) => {
                running.current.note(Waits::Time);
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
            && let Some(home) = self.home.upgrade()
        {
            home.cancel_timer(timer);
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
            let own = running.current.polled_by(context).is_some();
            if own {
                running.current.run_again();
            }
            own
        });
        if own != Some(true) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
