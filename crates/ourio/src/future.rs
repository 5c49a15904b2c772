//! `Future`: a result that somebody sets by hand. asyncio: `asyncio.Future`.

use std::cell::RefCell;
use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::outcome::Cancelled;
use crate::table::{WaitPoint, Waits};
use crate::waiters::{Ticket, WaitList, Waiter};

/// A result that is set once, and awaited by any number.
///
/// Clones are the same future. Those who wait are woken in the order in which they began to wait.
///
/// ```
/// let answer = ourio::Future::new();
/// let waiting = answer.clone();
/// let got = ourio::run(async move {
///     let task = ourio::spawn(async move { waiting.await });
///     ourio::yield_now().await;
///     assert!(answer.set_result(42));
///     assert!(!answer.set_result(43), "set once");
///     task.await
/// })?;
/// assert_eq!(got, Ok(Ok(42)));
/// # Ok::<(), ourio::Error>(())
/// ```
pub struct Future<T> {
    shared: Rc<RefCell<Shared<T>>>,
    /// This clone's place among those who wait.
    ticket: Option<Ticket>,
}

struct Shared<T> {
    outcome: Option<Result<T, Cancelled>>,
    waiters: WaitList<()>,
    callbacks: Vec<Box<dyn FnOnce()>>,
    point: Rc<WaitPoint>,
}

impl<T> Default for Future<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Future<T> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared), ticket: None }
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.shared.borrow().outcome {
            None => "pending",
            Some(Ok(_)) => "finished",
            Some(Err(_)) => "cancelled",
        };
        f.debug_struct("Future").field("state", &state).finish_non_exhaustive()
    }
}

impl<T> Future<T> {
    /// A future without a result.
    pub fn new() -> Self {
        let point = WaitPoint::new("a future");
        let shared = Shared { outcome: None, waiters: WaitList::default(), callbacks: Vec::new(), point };
        Self { shared: Rc::new(RefCell::new(shared)), ticket: None }
    }

    /// Sets the result and wakes who waits; false if it is done already, which asyncio refuses with
    /// `InvalidStateError`.
    pub fn set_result(&self, result: T) -> bool {
        self.finish(Ok(result))
    }

    /// Cancels it: who waits gets [`Cancelled`]. False if it is done already.
    pub fn cancel(&self) -> bool {
        self.finish(Err(Cancelled::default()))
    }

    /// As [`cancel`](Future::cancel), saying why.
    pub fn cancel_with(&self, message: impl Into<String>) -> bool {
        self.finish(Err(Cancelled { message: Some(message.into()) }))
    }

    /// Whether it has a result or was cancelled.
    pub fn done(&self) -> bool {
        self.shared.borrow().outcome.is_some()
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        matches!(self.shared.borrow().outcome, Some(Err(_)))
    }

    /// Calls a function once it is done; at once if it is done already.
    ///
    /// asyncio calls it in the next turn of the loop; a function that needs that can spawn.
    pub fn add_done_callback(&self, callback: impl FnOnce() + 'static) {
        {
            let mut shared = self.shared.borrow_mut();
            if shared.outcome.is_none() {
                shared.callbacks.push(Box::new(callback));
                return;
            }
        }
        callback();
    }

    fn finish(&self, outcome: Result<T, Cancelled>) -> bool {
        let (waiters, callbacks) = {
            let mut shared = self.shared.borrow_mut();
            if shared.outcome.is_some() {
                return false;
            }
            shared.outcome = Some(outcome);
            (shared.waiters.take_all(), std::mem::take(&mut shared.callbacks))
        };
        // Outside of the borrow: both run code of others.
        for waiter in waiters {
            waiter.wake();
        }
        for callback in callbacks {
            callback();
        }
        true
    }
}

impl<T: Clone> Future<T> {
    /// The result, if it is done.
    pub fn result(&self) -> Option<Result<T, Cancelled>> {
        self.shared.borrow().outcome.clone()
    }
}

impl<T: Clone> StdFuture for Future<T> {
    type Output = Result<T, Cancelled>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut shared = this.shared.borrow_mut();
        if let Some(outcome) = &shared.outcome {
            return Poll::Ready(outcome.clone());
        }
        let waiter = Waiter::of(context, || Waits::Point(Rc::clone(&shared.point)));
        shared.waiters.wait(&mut this.ticket, waiter, ());
        Poll::Pending
    }
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let gone = self.shared.borrow_mut().waiters.remove(ticket);
        drop(gone);
    }
}
