//! Awaiting several at once, with the results in the order of what was given.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::error::TaskError;
use crate::task::{Task, TaskState};
use crate::waiters::{WaitPoint, Waiter, Waits};

/// Awaits several tasks and gives their results in the order given; the first error ends it. asyncio: `gather`.
///
/// Takes a tuple of two to six tasks, or a `Vec` of tasks of one type. When it ends early, the other tasks go on, as in
/// asyncio; a task group is what cancels them.
///
/// # Errors
///
/// The first [`TaskError`] that happens.
pub fn gather<G: Gather>(tasks: G) -> G::Gathering {
    tasks.gathering()
}

/// What [`gather`] takes.
pub trait Gather {
    /// The future of all results.
    type Gathering: StdFuture;

    /// Makes it.
    fn gathering(self) -> Self::Gathering;
}

/// Awaits every task to its end and gives all outcomes in the order given. asyncio: `gather(return_exceptions=True)`.
pub fn gather_all<T: 'static>(tasks: Vec<Task<T>>) -> GatherAll<T> {
    GatherAll { countdown: Countdown::over(&tasks), tasks }
}

/// What [`gather_all`] gives.
#[derive(Debug)]
#[must_use = "nothing is awaited until it is"]
pub struct GatherAll<T: 'static> {
    tasks: Vec<Task<T>>,
    countdown: Rc<Countdown>,
}

impl<T: 'static> Unpin for GatherAll<T> {}

impl<T: 'static> StdFuture for GatherAll<T> {
    type Output = Vec<Result<T, TaskError>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.countdown.left.get() > 0 {
            self.countdown.waits(context, Until::All);
            return Poll::Pending;
        }
        Poll::Ready(self.tasks.drain(..).map(|task| task.take_outcome()).collect())
    }
}

/// How many of several tasks are not done. Asking each of them at every wake-up would take the square of their number.
#[derive(Debug)]
pub(crate) struct Countdown {
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
pub(crate) enum Until {
    All,
    AllOrOneHasFailed,
    One,
}

impl Countdown {
    fn over<T>(tasks: &[Task<T>]) -> Rc<Self> {
        Self::new(tasks, "all of several tasks", None)
    }

    /// One that also tells which are done, in the order in which they become so.
    pub(crate) fn one_by_one<T>(tasks: &[Task<T>]) -> Rc<Self> {
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

    pub(crate) fn left(&self) -> usize {
        self.left.get()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    /// The place of the task that was done next.
    pub(crate) fn next_done(&self) -> Option<usize> {
        self.done.as_ref()?.borrow_mut().pop_front()
    }

    pub(crate) fn any_done(&self) -> bool {
        self.done.as_ref().is_some_and(|done| !done.borrow().is_empty())
    }

    pub(crate) fn waits(&self, context: &Context<'_>, until: Until) {
        let waiter = Waiter::of(context, || Waits::Point(Rc::clone(&self.point)));
        let before = self.waiter.replace(Some((waiter, until)));
        drop(before);
    }
}

impl<T: 'static> Gather for Vec<Task<T>> {
    type Gathering = Pin<Box<dyn StdFuture<Output = Result<Vec<T>, TaskError>>>>;

    fn gathering(self) -> Self::Gathering {
        let mut tasks = self;
        let countdown = Countdown::over(&tasks);
        Box::pin(std::future::poll_fn(move |context| {
            if let Some(place) = countdown.failed.get() {
                return Poll::Ready(tasks.swap_remove(place).take_outcome().map(|value| vec![value]));
            }
            if countdown.left.get() > 0 {
                countdown.waits(context, Until::AllOrOneHasFailed);
                return Poll::Pending;
            }
            Poll::Ready(tasks.drain(..).map(|task| task.take_outcome()).collect())
        }))
    }
}

macro_rules! gather_tuple {
    ($($type:ident $task:ident $value:ident),+) => {
        impl<$($type: 'static),+> Gather for ($(Task<$type>,)+) {
            type Gathering = Pin<Box<dyn StdFuture<Output = Result<($($type,)+), TaskError>>>>;

            fn gathering(self) -> Self::Gathering {
                let ($(mut $task,)+) = self;
                $(let mut $value: Option<$type> = None;)+
                Box::pin(std::future::poll_fn(move |context| {
                    $(
                        if $value.is_none()
                            && let Poll::Ready(ended) = Pin::new(&mut $task).poll(context)
                        {
                            $value = Some(ended?);
                        }
                    )+
                    match ($($value.take(),)+) {
                        ($(Some($value),)+) => Poll::Ready(Ok(($($value,)+))),
                        taken => {
                            ($($value,)+) = taken;
                            Poll::Pending
                        }
                    }
                }))
            }
        }
    };
}

gather_tuple!(A a va, B b vb);
gather_tuple!(A a va, B b vb, C c vc);
gather_tuple!(A a va, B b vb, C c vc, D d vd);
gather_tuple!(A a va, B b vb, C c vc, D d vd, E e ve);
gather_tuple!(A a va, B b vb, C c vc, D d vd, E e ve, F f vf);

/// Awaits three futures of one task together.
pub(crate) async fn join3<A, B, C>(
    a: impl StdFuture<Output = A>,
    b: impl StdFuture<Output = B>,
    c: impl StdFuture<Output = C>,
) -> (A, B, C) {
    let (mut a, mut b, mut c) = (std::pin::pin!(a), std::pin::pin!(b), std::pin::pin!(c));
    let (mut va, mut vb, mut vc) = (None, None, None);
    std::future::poll_fn(move |context| {
        fn ask<T>(
            future: Pin<&mut impl StdFuture<Output = T>>,
            value: &mut Option<T>,
            context: &mut Context<'_>,
        ) {
            if value.is_none()
                && let Poll::Ready(output) = future.poll(context)
            {
                *value = Some(output);
            }
        }
        ask(a.as_mut(), &mut va, context);
        ask(b.as_mut(), &mut vb, context);
        ask(c.as_mut(), &mut vc, context);
        match (va.take(), vb.take(), vc.take()) {
            (Some(a), Some(b), Some(c)) => Poll::Ready((a, b, c)),
            taken => {
                (va, vb, vc) = taken;
                Poll::Pending
            }
        }
    })
    .await
}
