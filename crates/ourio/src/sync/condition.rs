//! `Condition`: waiting for something to become true that a lock guards.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::task::Poll;

use super::lock::LockGuard;
use crate::table::{WaitPoint, Waits};
use crate::waiters::{Ticket, WaitList, Waiter};

/// Tasks wait here for a change of what a [`Lock`](super::Lock) guards. asyncio: `asyncio.Condition`.
///
/// asyncio's owns its lock; here the guard is handed over, as the standard library's `Condvar` has it. Whoever is
/// notified and dropped before it runs passes the notification on.
pub struct Condition {
    waiters: RefCell<WaitList<()>>,
    point: Rc<WaitPoint>,
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("waiters", &self.waiters.borrow().len()).finish_non_exhaustive()
    }
}

impl Condition {
    /// One that nobody waits for.
    pub fn new() -> Self {
        Self { waiters: RefCell::default(), point: WaitPoint::new("a condition") }
    }

    /// Lets go of the lock, waits to be notified, and takes the lock again.
    pub async fn wait<'a, T>(&self, guard: LockGuard<'a, T>) -> LockGuard<'a, T> {
        let lock = guard.lock();
        let mut guard = Some(guard);
        let mut notice = Notice { condition: self, ticket: None };
        std::future::poll_fn(|context| {
            if notice.has_come() {
                return Poll::Ready(());
            }
            let waiter = Waiter::of(context, || Waits::Point(Rc::clone(&self.point)));
            self.waiters.borrow_mut().wait(&mut notice.ticket, waiter, ());
            // Only now: a notification between the two would be lost.
            let held = guard.take();
            drop(held);
            Poll::Pending
        })
        .await;
        // Whoever gives up while it waits for the lock has used its notification up, unless somebody else may have it.
        let guard = lock.acquire().await;
        notice.ticket = None;
        guard
    }

    /// Waits until a predicate holds; not at all if it does. asyncio: `wait_for`.
    pub async fn wait_for<'a, T>(
        &self,
        mut guard: LockGuard<'a, T>,
        mut predicate: impl FnMut(&mut T) -> bool,
    ) -> LockGuard<'a, T> {
        while !predicate(&mut guard) {
            guard = self.wait(guard).await;
        }
        guard
    }

    /// Notifies as many of those who wait, in the order in which they began to.
    pub fn notify(&self, count: usize) {
        for _ in 0..count {
            let next = self.waiters.borrow_mut().pop();
            let Some(next) = next else { return };
            next.wake();
        }
    }

    /// Notifies all who wait.
    pub fn notify_all(&self) {
        let waiters = self.waiters.borrow_mut().take_all();
        waiters.into_iter().for_each(Waiter::wake);
    }
}

/// A notification that is waited for; one that has come is passed on if nobody takes it.
struct Notice<'a> {
    condition: &'a Condition,
    ticket: Option<Ticket>,
}

impl Notice<'_> {
    fn has_come(&self) -> bool {
        self.ticket.is_some_and(|ticket| !self.condition.waiters.borrow().is_waiting(ticket))
    }
}

impl Drop for Notice<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let gone = self.condition.waiters.borrow_mut().remove(ticket);
        if gone.is_none() {
            self.condition.notify(1);
        }
    }
}
