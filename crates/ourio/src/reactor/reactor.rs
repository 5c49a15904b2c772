//! The reactor itself: its parts, and what is asked of all of them at once.

use std::rc::Rc;

use super::children::Children;
use super::descriptors::Descriptors;
use super::jobs::Jobs;
use super::signals::Signals;
use crate::scheduling::Scheduler;

/// What reaches one loop from outside.
pub(crate) struct Reactor {
    pub(crate) descriptors: Rc<Descriptors>,
    pub(crate) signals: Signals,
    pub(crate) children: Children,
    pub(crate) jobs: Jobs,
    /// Read into by whoever has no memory of its own that may be read into.
    #[cfg(feature = "hyper")]
    pub(crate) scratch: std::cell::RefCell<Vec<u8>>,
}

impl Reactor {
    /// What reaches the loop of a scheduler.
    pub(crate) fn new(scheduler: &Rc<Scheduler>) -> Rc<Self> {
        Rc::new(Self {
            descriptors: Descriptors::new(Rc::clone(scheduler)),
            signals: Signals::new(Rc::clone(scheduler)),
            children: Children::new(Rc::clone(scheduler)),
            jobs: Jobs::default(),
            #[cfg(feature = "hyper")]
            scratch: std::cell::RefCell::default(),
        })
    }

    /// Whether somebody waits for what can come from outside at any moment.
    pub(crate) fn is_awaited(&self) -> bool {
        self.descriptors.are_awaited()
            || self.jobs.are_under_way()
            || self.signals.are_listened_to()
            || self.children.are_awaited()
    }

    /// Takes out whoever waits, to be dropped; blocking calls go on.
    pub(crate) fn take_all(&self) -> impl Sized + use<> {
        (self.descriptors.take_all(), self.signals.take_all(), self.children.take_all())
    }
}
