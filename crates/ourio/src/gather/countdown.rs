//! How many of several tasks are not done: what gathering them and waiting for them is made of.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context;

use crate::table::{TaskState, WaitPoint, Waits};
use crate::task::Task;
use crate::waiters::Waiter;

/// How many of several tasks are not done. Asking each of them at every wake-up would take the square of their number.
#[derive(Debug)]
pub(super) struct Countdown {
    left: Cell<usize>,
    /// The first task that gave no result, by its place.
    failed: Cell<Option<usize>>,
    /// The places of those that are done, for whoever wants them one by one.
    done: Option<RefCell<VecDeque<usize>>>,
    waiter: RefCell<Option<(Waiter, Until)>>,
    point: Rc<WaitPoint>,
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    All,
    AllOrOneHasFailed,
    One,
}

impl Countdown {
    pub(super) fn over<T>(tasks: &[Task<T>]) -> Rc<Self> {
        Self::new(tasks, "all of several tasks", None)
    }

    /// One that also tells which are done, in the order in which they become so.
    pub(super) fn one_by_one<T>(tasks: &[Task<T>]) -> Rc<Self> {
        Self::new(tasks, "one of several tasks", Some(RefCell::default()))
    }

    fn new<T>(tasks: &[Task<T>], what: &'static str, done: Option<RefCell<VecDeque<usize>>>) -> Rc<Self> {
        let point = WaitPoint::new(what);
        point.holders.replace(tasks.iter().map(Task::id).collect());
        let left = Cell::new(tasks.len());
        let this = Rc::new(Self { left, failed: Cell::new(None), done, waiter: RefCell::new(None), point });
        for (place, task) in tasks.iter().enumerate() {
            let countdown = Rc::clone(&this);
            task.add_done_callback(move |state| countdown.count(place, state));
        }
        this
    }

    fn count(&self, place: usize, state: TaskState) {
        self.left.set(self.left.get() - 1);
        let failed = state != TaskState::Finished;
        if failed && self.failed.get().is_none() {
            self.failed.set(Some(place));
        }
        if let Some(done) = &self.done {
            done.borrow_mut().push_back(place);
        }
        let wakes = |until| match until {
            Until::All => self.left.get() == 0,
            Until::AllOrOneHasFailed => self.left.get() == 0 || failed,
            Until::One => true,
        };
        let waiter = self.waiter.take();
        match waiter {
            Some((waiter, until)) if wakes(until) => waiter.wake(),
            waiter => drop(self.waiter.replace(waiter)),
        }
    }

    pub(super) fn left(&self) -> usize {
        self.left.get()
    }

    /// The place of the first task that gave no result.
    pub(super) fn failed(&self) -> Option<usize> {
        self.failed.get()
    }

    /// The place of the task that was done next.
    pub(super) fn next_done(&self) -> Option<usize> {
        self.done.as_ref()?.borrow_mut().pop_front()
    }

    pub(super) fn any_done(&self) -> bool {
        self.done.as_ref().is_some_and(|done| !done.borrow().is_empty())
    }

    pub(super) fn wait(&self, context: &Context<'_>, until: Until) {
        let waiter = Waiter::of(context, || Waits::Point(Rc::clone(&self.point)));
        let before = self.waiter.replace(Some((waiter, until)));
        drop(before);
    }
}
