//! `Lock`: one task at a time.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::semaphore::Permits;
use crate::table::TaskId;

/// A value that one task at a time may use, also across its awaits. asyncio: `asyncio.Lock`, which guards nothing by
/// itself: that is `Lock<()>`.
///
/// ```
/// use std::rc::Rc;
/// use ourio::sync::Lock;
///
/// let total = Rc::new(Lock::new(0));
/// let shared = Rc::clone(&total);
/// ourio::run(async move {
///     let tasks: Vec<_> = (0..10).map(|_| {
///         let shared = Rc::clone(&shared);
///         ourio::spawn(async move {
///             let mut total = shared.acquire().await;
///             let before = *total;
///             ourio::yield_now().await;
///             *total = before + 1;
///         })
///     }).collect();
///     ourio::gather(tasks).await
/// })??;
/// assert_eq!(total.try_acquire().map(|total| *total), Some(10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lock<T = ()> {
    permits: Rc<Permits>,
    value: RefCell<T>,
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("locked", &self.locked())
            .field("waiters", &self.permits.waiters())
            .finish_non_exhaustive()
    }
}

impl<T> Lock<T> {
    /// A lock around a value.
    pub fn new(value: T) -> Self {
        Self { permits: Permits::new(1, "a lock"), value: RefCell::new(value) }
    }

    /// Waits until nobody else has it. The order is that of asking.
    ///
    /// A task that has it and asks again waits for ever, which the loop reports as a deadlock.
    pub async fn acquire(&self) -> LockGuard<'_, T> {
        self.permits.take().await;
        self.guard()
    }

    /// The value, if nobody has it or waits for it.
    pub fn try_acquire(&self) -> Option<LockGuard<'_, T>> {
        self.permits.try_take().then(|| self.guard())
    }

    /// Whether somebody has it.
    pub fn locked(&self) -> bool {
        self.permits.free() == 0
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    /// For whoever has the permit: nobody else has the value.
    fn guard(&self) -> LockGuard<'_, T> {
        let permission = Permission { holder: self.permits.hold(), lock: self };
        LockGuard { value: self.value.borrow_mut(), permission }
    }
}

/// The value of a [`Lock`], for whoever has it; dropping it hands the lock to the next who waits.
#[must_use = "dropping it lets go at once"]
pub struct LockGuard<'a, T> {
    // Ends before the permission, which lets the next one in.
    value: RefMut<'a, T>,
    permission: Permission<'a, T>,
}

struct Permission<'a, T> {
    holder: Option<TaskId>,
    lock: &'a Lock<T>,
}

impl<T> Drop for Permission<'_, T> {
    fn drop(&mut self) {
        self.lock.permits.let_go(self.holder);
        self.lock.permits.give();
    }
}

impl<'a, T> LockGuard<'a, T> {
    pub(super) fn lock(&self) -> &'a Lock<T> {
        self.permission.lock
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
