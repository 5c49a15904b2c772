//! `Event`: a flag that tasks wait for.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::Poll;

use crate::table::{WaitPoint, Waits};
use crate::waiters::{Place, WaitList, Waiter};

/// A flag that any number of tasks wait for. asyncio: `asyncio.Event`.
///
/// Clones are the same event.
#[derive(Clone)]
pub struct Event {
    shared: Rc<Shared>,
}

struct Shared {
    set: Cell<bool>,
    waiters: RefCell<WaitList<()>>,
    point: Rc<WaitPoint>,
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiters = self.shared.waiters.borrow().len();
        f.debug_struct("Event").field("set", &self.is_set()).field("waiters", &waiters).finish()
    }
}

impl Event {
    /// One that is not set.
    pub fn new() -> Self {
        let point = WaitPoint::new("an event");
        Self { shared: Rc::new(Shared { set: Cell::new(false), waiters: RefCell::default(), point }) }
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.shared.set.get()
    }

    /// Sets it: all who wait go on, also if it is cleared before they run.
    pub fn set(&self) {
        self.shared.set.set(true);
        let waiters = self.shared.waiters.borrow_mut().take_all();
        waiters.into_iter().for_each(Waiter::wake);
    }

    /// Clears it: who waits from here on waits for the next [`Event::set`].
    pub fn clear(&self) {
        self.shared.set.set(false);
    }

    /// Waits until it is set; not at all if it is.
    pub async fn wait(&self) {
        let mut place = Place { list: &self.shared.waiters, ticket: None };
        std::future::poll_fn(|context| {
            let has_come = match place.ticket {
                None => self.is_set(),
                Some(ticket) => !place.list.borrow().is_waiting(ticket),
            };
            if has_come {
                return Poll::Ready(());
            }
            let waiter = Waiter::of(context, || Waits::Point(Rc::clone(&self.shared.point)));
            place.list.borrow_mut().wait(&mut place.ticket, waiter, ());
            Poll::Pending
        })
        .await;
    }
}
