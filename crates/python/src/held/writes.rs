//! `HeldWrites`: who has something to send when the turn ends, in the order of the first writes.

use std::cell::{Cell, RefCell};

use pyo3::prelude::*;

use crate::boundary::object::Object;
use crate::held::datagrams::HeldDatagrams;

/// Somebody with something to send.
#[derive(Debug)]
pub(crate) struct Held<L> {
    pub(crate) object: Object,
    pub(crate) send: SendHeld<L>,
}

/// Sends what an object has held back. What it returns ends the loop.
pub(crate) type SendHeld<L> = for<'py> fn(&Bound<'py, L>, &Bound<'py, PyAny>) -> PyResult<()>;

/// What waits to be sent by a loop of the class `L`.
#[derive(Debug)]
pub(crate) struct HeldWrites<L> {
    moment: Cell<Moment>,
    waiting: RefCell<Vec<Held<L>>>,
    datagrams: RefCell<HeldDatagrams>,
}

impl<L> Default for HeldWrites<L> {
    fn default() -> Self {
        Self { moment: Cell::default(), waiting: RefCell::default(), datagrams: RefCell::default() }
    }
}

impl<L> HeldWrites<L> {
    /// A callback is about to run: what it writes may wait for the end of its turn.
    #[inline]
    pub(crate) fn callback_begins(&self) {
        self.moment.set(self.moment.get().callback_begins());
    }

    /// It has run; or one that ran within another has, which sends at once what it writes from then on. Whether something
    /// waits.
    #[inline]
    pub(crate) fn callback_ended(&self) -> bool {
        let moment = self.moment.get().callback_ended();
        self.moment.set(moment);
        moment.something_waits()
    }

    /// The number of the callback that runs; `None` between callbacks, when nothing may be held back.
    #[inline]
    pub(crate) fn callback(&self) -> Option<u64> {
        self.moment.get().callback()
    }

    /// Has something sent when the turn ends. Who is on the list already must not be put there again.
    #[inline]
    pub(crate) fn hold(&self, object: Object, send: SendHeld<L>) {
        self.waiting.borrow_mut().push(Held { object, send });
        self.moment.set(self.moment.get().with_something_waiting(true));
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.moment.get().something_waits()
    }

    /// Whether nobody but datagram transports has something to send: these write to other peers.
    pub(crate) fn is_empty_of_streams(&self) -> bool {
        self.waiting.borrow().len() == usize::from(self.datagrams.borrow().is_listed())
    }

    /// Takes the whole list, to be sent; what is held back meanwhile is on a new one.
    #[inline]
    pub(crate) fn take(&self) -> Vec<Held<L>> {
        self.moment.set(self.moment.get().with_something_waiting(false));
        self.waiting.take()
    }

    /// The memory of a list that was sent serves the next turn.
    #[inline]
    pub(crate) fn reuse(&self, list: Vec<Held<L>>) {
        debug_assert!(list.is_empty(), "it was sent");
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            *waiting = list;
        }
    }

    pub(crate) fn datagrams(&self) -> &RefCell<HeldDatagrams> {
        &self.datagrams
    }

    /// Everything that waits, to be dropped by the caller when nothing is borrowed: the loop is closed.
    pub(crate) fn release(&self) -> impl Sized + use<L> {
        (self.take(), self.datagrams.take())
    }
}

/// What is asked after each callback, in one word: whether one runs (bit 0), whether something waits (bit 1: the list is not
/// empty), and how many have begun (the rest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Moment(u64);

impl Moment {
    const RUNS: u64 = 1;
    const WAITS: u64 = 2;
    const ONE: u64 = 4;

    fn callback_begins(self) -> Self {
        Self((self.0 + Self::ONE) | Self::RUNS)
    }

    fn callback_ended(self) -> Self {
        Self(self.0 & !Self::RUNS)
    }

    fn callback(self) -> Option<u64> {
        (self.0 & Self::RUNS != 0).then_some(self.0 / Self::ONE)
    }

    fn with_something_waiting(self, waits: bool) -> Self {
        if waits { Self(self.0 | Self::WAITS) } else { Self(self.0 & !Self::WAITS) }
    }

    fn something_waits(self) -> bool {
        self.0 & Self::WAITS != 0
    }
}
