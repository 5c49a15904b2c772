//! `Future`: a result that somebody sets by hand. asyncio: `asyncio.Future`.

use std::cell::RefCell;
use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::error::Cancelled;

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
    ticket: Option<u64>,
}

struct Shared<T> {
    outcome: Option<Result<T, Cancelled>>,
    /// By ticket, in order.
    waiters: Vec<(u64, Waker)>,
    callbacks: Vec<Box<dyn FnOnce()>>,
    next_ticket: u64,
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
        let shared = Shared { outcome: None, waiters: Vec::new(), callbacks: Vec::new(), next_ticket: 0 };
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
            (std::mem::take(&mut shared.waiters), std::mem::take(&mut shared.callbacks))
        };
        // Outside of the borrow: both run code of others.
        for (_, waker) in waiters {
            waker.wake();
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
        let ticket = *this.ticket.get_or_insert_with(|| {
            shared.next_ticket += 1;
            shared.next_ticket
        });
        match shared.waiters.iter_mut().find(|(waiting, _)| *waiting == ticket) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => shared.waiters.push((ticket, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let waker = {
            let mut shared = self.shared.borrow_mut();
            let place = shared.waiters.iter().position(|(waiting, _)| *waiting == ticket);
            place.map(|place| shared.waiters.remove(place))
        };
        drop(waker);
    }
}
