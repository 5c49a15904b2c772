//! All of several tasks, with the results in the order of what was given.

use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::countdown::{Countdown, Until};
use crate::outcome::TaskError;
use crate::task::Task;

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
        if self.countdown.left() > 0 {
            self.countdown.wait(context, Until::All);
            return Poll::Pending;
        }
        Poll::Ready(self.tasks.drain(..).map(|task| task.take_outcome()).collect())
    }
}

impl<T: 'static> Gather for Vec<Task<T>> {
    type Gathering = Pin<Box<dyn StdFuture<Output = Result<Vec<T>, TaskError>>>>;

    fn gathering(self) -> Self::Gathering {
        let mut tasks = self;
        let countdown = Countdown::over(&tasks);
        Box::pin(std::future::poll_fn(move |context| {
            if let Some(place) = countdown.failed() {
                return Poll::Ready(tasks.swap_remove(place).take_outcome().map(|value| vec![value]));
            }
            if countdown.left() > 0 {
                countdown.wait(context, Until::AllOrOneHasFailed);
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
