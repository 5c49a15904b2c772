//! `Barrier`: a number of tasks that wait for one another.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::Poll;

use crate::table::{WaitPoint, Waits};
use crate::waiters::{Place, WaitList, Waiter};

/// Lets tasks through when as many as were agreed have come. asyncio: `asyncio.Barrier`.
///
/// It can be used again and again. Whoever stops waiting before the last has come is as if it had not come. Clones
/// are the same barrier.
#[derive(Clone)]
pub struct Barrier {
    shared: Rc<Shared>,
}

struct Shared {
    parties: usize,
    waiters: RefCell<WaitList<()>>,
    /// What has become of those who wait now; the next ones get another.
    fate: RefCell<Rc<Cell<Fate>>>,
    aborted: Cell<bool>,
    point: Rc<WaitPoint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    LetThrough,
    SentAway,
}

/// The barrier was aborted, or reset while somebody waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenBarrier;

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken")
    }
}

impl std::error::Error for BrokenBarrier {}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.n_waiting())
            .field("broken", &self.broken())
            .finish()
    }
}

impl Barrier {
    /// One for so many tasks; for none or one it lets everybody through.
    pub fn new(parties: usize) -> Self {
        let shared = Shared {
            parties,
            waiters: RefCell::default(),
            fate: RefCell::new(Rc::new(Cell::new(Fate::Waiting))),
            aborted: Cell::new(false),
            point: WaitPoint::new("the others at a barrier"),
        };
        Self { shared: Rc::new(shared) }
    }

    /// How many must come.
    pub fn parties(&self) -> usize {
        self.shared.parties
    }

    /// How many wait.
    pub fn n_waiting(&self) -> usize {
        self.shared.waiters.borrow().len()
    }

    /// Whether it was aborted.
    pub fn broken(&self) -> bool {
        self.shared.aborted.get()
    }

    /// Waits for the others: the number of those who were still to come, a different one for each, zero for the last.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] if it is aborted, or is reset meanwhile.
    pub async fn wait(&self) -> Result<usize, BrokenBarrier> {
        let shared = &self.shared;
        if shared.aborted.get() {
            return Err(BrokenBarrier);
        }
        let before = self.n_waiting();
        if before + 1 >= shared.parties {
            self.decide(Fate::LetThrough);
            return Ok(0);
        }
        let index = shared.parties - 1 - before;
        let fate = Rc::clone(&shared.fate.borrow());
        let mut place = Place { list: &shared.waiters, ticket: None };
        std::future::poll_fn(|context| {
            if place.has_come() {
                return Poll::Ready(());
            }
            let waiter = Waiter::of(context, || Waits::Point(Rc::clone(&shared.point)));
            place.list.borrow_mut().wait(&mut place.ticket, waiter, ());
            Poll::Pending
        })
        .await;
        if fate.get() == Fate::LetThrough { Ok(index) } else { Err(BrokenBarrier) }
    }

    /// Sends those who wait away with an error; afterwards it is as new.
    pub fn reset(&self) {
        self.shared.aborted.set(false);
        self.decide(Fate::SentAway);
    }

    /// Breaks it: who waits, and who comes, gets an error, until it is reset.
    pub fn abort(&self) {
        self.shared.aborted.set(true);
        self.decide(Fate::SentAway);
    }

    fn decide(&self, fate: Fate) {
        let next = Rc::new(Cell::new(Fate::Waiting));
        self.shared.fate.replace(next).set(fate);
        let waiters = self.shared.waiters.borrow_mut().take_all();
        waiters.into_iter().for_each(Waiter::wake);
    }
}
