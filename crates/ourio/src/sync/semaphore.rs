//! Semaphores: a number of permits.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::Poll;

use crate::scheduling::running;
use crate::table::{TaskId, WaitPoint, Waits};
use crate::waiters::{Ticket, WaitList, Waiter};

/// A number of permits, which tasks take and give back. asyncio: `asyncio.Semaphore`.
///
/// Clones are the same semaphore.
#[derive(Clone)]
pub struct Semaphore {
    permits: Rc<Permits>,
}

/// The permits of a semaphore or a lock.
pub(super) struct Permits {
    free: Cell<usize>,
    /// Those whose turn has come have their permit already: it is not free.
    waiters: RefCell<WaitList<()>>,
    point: Rc<WaitPoint>,
}

impl Permits {
    pub(super) fn new(free: usize, what: &'static str) -> Rc<Self> {
        Rc::new(Self { free: Cell::new(free), waiters: RefCell::default(), point: WaitPoint::new(what) })
    }

    pub(super) fn free(&self) -> usize {
        self.free.get()
    }

    pub(super) fn waiters(&self) -> usize {
        self.waiters.borrow().len()
    }

    /// Takes a permit if one is free and nobody waits for it. Who waits is served first.
    pub(super) fn try_take(&self) -> bool {
        let free = self.free.get();
        let taken = free > 0 && self.waiters.borrow().is_empty();
        if taken {
            self.free.set(free - 1);
        }
        taken
    }

    pub(super) async fn take(&self) {
        if self.try_take() {
            return;
        }
        let mut turn = Turn { permits: self, ticket: None };
        std::future::poll_fn(|context| {
            if turn.has_come() {
                turn.ticket = None;
                return Poll::Ready(());
            }
            let waiter = Waiter::of(context, || Waits::Point(Rc::clone(&self.point)));
            self.waiters.borrow_mut().wait(&mut turn.ticket, waiter, ());
            Poll::Pending
        })
        .await;
    }

    /// Gives a permit to the first who waits, or makes it free.
    pub(super) fn give(&self) {
        let next = self.waiters.borrow_mut().pop();
        match next {
            Some(next) => next.wake(),
            None => self.free.set(self.free.get() + 1),
        }
    }

    /// The task that runs has a permit from here on; which one that is.
    pub(super) fn hold(&self) -> Option<TaskId> {
        let holder = running::current_task();
        self.point.hold(holder);
        holder
    }

    pub(super) fn let_go(&self, holder: Option<TaskId>) {
        self.point.let_go(holder);
    }
}

/// A turn that is waited for; one that has come is passed on if nobody takes it.
struct Turn<'a> {
    permits: &'a Permits,
    ticket: Option<Ticket>,
}

impl Turn<'_> {
    fn has_come(&self) -> bool {
        self.ticket.is_some_and(|ticket| !self.permits.waiters.borrow().is_waiting(ticket))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let gone = self.permits.waiters.borrow_mut().remove(ticket);
        if gone.is_none() {
            self.permits.give();
        }
    }
}

/// A permit; dropping it gives it back.
#[must_use = "dropping it gives it back at once"]
pub struct Permit {
    permits: Rc<Permits>,
    holder: Option<TaskId>,
    /// Given back by hand, or kept for good.
    spent: bool,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

impl Permit {
    fn of(permits: &Rc<Permits>) -> Self {
        Self { permits: Rc::clone(permits), holder: permits.hold(), spent: false }
    }

    /// Keeps it for good: it is given back by [`Semaphore::release`] only.
    pub fn forget(mut self) {
        self.spent = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.let_go(self.holder);
        if !self.spent {
            self.permits.give();
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, waiters) = (self.permits.free(), self.permits.waiters());
        f.debug_struct("Semaphore").field("permits", &free).field("waiters", &waiters).finish()
    }
}

impl Semaphore {
    /// One with so many permits.
    pub fn new(permits: usize) -> Self {
        Self { permits: Permits::new(permits, "a semaphore") }
    }

    /// Waits for a permit.
    pub async fn acquire(&self) -> Permit {
        self.permits.take().await;
        Permit::of(&self.permits)
    }

    /// A permit, if one is free and nobody waits.
    pub fn try_acquire(&self) -> Option<Permit> {
        self.permits.try_take().then(|| Permit::of(&self.permits))
    }

    /// Whether [`Semaphore::acquire`] would wait.
    pub fn locked(&self) -> bool {
        self.permits.free() == 0 || self.permits.waiters() > 0
    }

    /// How many permits are free.
    pub fn available_permits(&self) -> usize {
        self.permits.free()
    }

    /// Adds a permit, whether or not one was taken.
    pub fn release(&self) {
        self.permits.give();
    }
}

/// A semaphore that refuses more permits than it began with. asyncio: `asyncio.BoundedSemaphore`.
///
/// Clones are the same semaphore.
#[derive(Debug, Clone)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
    bound: usize,
}

/// A permit more than a bounded semaphore has; asyncio raises `ValueError`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleasedTooOften;

impl fmt::Display for ReleasedTooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore was released too many times")
    }
}

impl std::error::Error for ReleasedTooOften {}

impl BoundedSemaphore {
    /// One with so many permits, at most.
    pub fn new(permits: usize) -> Self {
        Self { semaphore: Semaphore::new(permits), bound: permits }
    }

    /// Waits for a permit.
    pub async fn acquire(&self) -> Permit {
        self.semaphore.acquire().await
    }

    /// A permit, if one is free and nobody waits.
    pub fn try_acquire(&self) -> Option<Permit> {
        self.semaphore.try_acquire()
    }

    /// Whether [`BoundedSemaphore::acquire`] would wait.
    pub fn locked(&self) -> bool {
        self.semaphore.locked()
    }

    /// Gives back a permit that was [forgotten](Permit::forget).
    ///
    /// # Errors
    ///
    /// [`ReleasedTooOften`] if all of them are free.
    pub fn release(&self) -> Result<(), ReleasedTooOften> {
        if self.semaphore.available_permits() >= self.bound {
            return Err(ReleasedTooOften);
        }
        self.semaphore.release();
        Ok(())
    }
}
