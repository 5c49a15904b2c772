//! Signals that a loop listens to, and who wants to know of each.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use crate::outcome::contain;
use crate::scheduling::Scheduler;
use crate::table::Waits;
use crate::waiters::Waiter;

type Handler = Rc<RefCell<Box<dyn FnMut()>>>;

/// The signals of one loop, by number.
pub(crate) struct Signals {
    scheduler: Rc<Scheduler>,
    listeners: RefCell<BTreeMap<i32, Listeners>>,
}

/// Who wants to know of a signal.
#[derive(Default)]
struct Listeners {
    handler: Option<Handler>,
    arrivals: Vec<Weak<Arrivals>>,
}

/// The arrivals of a signal that one listener has not received.
#[derive(Default)]
pub(crate) struct Arrivals {
    count: Cell<u64>,
    waiter: RefCell<Option<Waiter>>,
}

impl Arrivals {
    /// Receives one; or has the next one wake whoever polls with this context.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let count = self.count.get();
        if count > 0 {
            self.count.set(count - 1);
            return Poll::Ready(());
        }
        let before = self.waiter.replace(Some(Waiter::of(context, || Waits::Signal)));
        drop(before);
        Poll::Pending
    }
}

impl Signals {
    pub(super) fn new(scheduler: Rc<Scheduler>) -> Self {
        Self { scheduler, listeners: RefCell::default() }
    }

    pub(super) fn are_listened_to(&self) -> bool {
        !self.listeners.borrow().is_empty()
    }

    pub(super) fn take_all(&self) -> impl Sized + use<> {
        self.listeners.take()
    }

    /// Counts the arrivals of a signal from here on.
    pub(crate) fn listen(&self, signal: i32) -> ourio_engine::Result<Rc<Arrivals>> {
        self.report(signal)?;
        let arrivals = Rc::new(Arrivals::default());
        self.listeners.borrow_mut().entry(signal).or_default().arrivals.push(Rc::downgrade(&arrivals));
        Ok(arrivals)
    }

    pub(crate) fn stop_listening(&self, signal: i32, arrivals: &Rc<Arrivals>) {
        let own = Rc::downgrade(arrivals);
        self.forget(signal, |listeners| listeners.arrivals.retain(|other| !other.ptr_eq(&own)));
    }

    pub(crate) fn set_handler(&self, signal: i32, handler: Box<dyn FnMut()>) -> ourio_engine::Result<()> {
        self.report(signal)?;
        let handler = Rc::new(RefCell::new(handler));
        let before = self.listeners.borrow_mut().entry(signal).or_default().handler.replace(handler);
        drop(before);
        Ok(())
    }

    pub(crate) fn remove_handler(&self, signal: i32) -> bool {
        let mut removed = None;
        self.forget(signal, |listeners| removed = listeners.handler.take());
        removed.is_some()
    }

    /// Has the engine report a signal.
    fn report(&self, signal: i32) -> ourio_engine::Result<()> {
        self.scheduler.engine.borrow_mut().signals()?.listen(signal)
    }

    fn forget(&self, signal: i32, forget: impl FnOnce(&mut Listeners)) {
        let mut all = self.listeners.borrow_mut();
        let Some(listeners) = all.get_mut(&signal) else { return };
        forget(listeners);
        if listeners.handler.is_none() && listeners.arrivals.is_empty() {
            let gone = all.remove(&signal);
            drop(all);
            drop(gone);
            if let Ok(pipe) = self.scheduler.engine.borrow_mut().signals() {
                pipe.stop_listening(signal);
            }
        }
    }

    /// A signal has arrived: who waits for it goes on, and its handler is called.
    pub(crate) fn deliver(&self, number: i32) {
        let (handler, arrivals) = match self.listeners.borrow().get(&number) {
            None => return,
            Some(listeners) => {
                let arrivals: Vec<_> = listeners.arrivals.iter().filter_map(Weak::upgrade).collect();
                (listeners.handler.clone(), arrivals)
            }
        };
        for arrivals in arrivals {
            arrivals.count.set(arrivals.count.get() + 1);
            let waiter = arrivals.waiter.take();
            if let Some(waiter) = waiter {
                waiter.wake();
            }
        }
        if let Some(handler) = handler {
            contain(|| {
                if let Ok(mut handler) = handler.try_borrow_mut() {
                    handler();
                }
            });
        }
    }
}
