//! A coroutine that is driven by hand: it yields values, receives values, and can be thrown into and closed.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Where a coroutine stands. asyncio: `inspect.getcoroutinestate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoroutineState {
    /// Made; nothing of its body has run.
    Created,
    /// Its body runs right now.
    Running,
    /// It waits at a yield.
    Suspended,
    /// It has returned, or was closed.
    Closed,
}

/// What driving a coroutine one step gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed<Yield, Return> {
    /// It yielded a value, and waits to be driven on.
    Yielded(Yield),
    /// It returned. Python: `StopIteration.value`.
    Returned(Return),
    /// It awaits something that is not its own yield: only a loop can drive it further. Spawn it, or await it.
    Awaiting,
    /// It has not been started: there is no yield yet that could return a value or an error, so neither was sent.
    /// Python: "can't send non-None value to a just-started coroutine".
    NotStarted,
    /// It was closed, or had returned, before this step. Python: "cannot reuse already awaited coroutine".
    Closed,
}

/// An error that was thrown into a coroutine.
pub type Thrown = Box<dyn Error>;

/// A resumable computation, like a generator-based coroutine of Python.
///
/// `Yield` is what it hands out, `Resume` what is sent in, `Return` what it ends with. Nothing of the body runs before
/// [`start`](Coroutine::start).
///
/// ```
/// use ourio::{Coroutine, CoroutineState, Resumed};
///
/// let mut average = Coroutine::new(|yielder| async move {
///     let (mut total, mut count) = (0.0, 0.0);
///     while let Ok(Some(number)) = yielder.put(if count == 0.0 { 0.0 } else { total / count }).await {
///         total += number;
///         count += 1.0;
///     }
///     total
/// });
/// assert_eq!(average.state(), CoroutineState::Created);
/// assert_eq!(average.start(), Resumed::Yielded(0.0));
/// assert_eq!(average.send(Some(10.0)), Resumed::Yielded(10.0));
/// assert_eq!(average.send(Some(30.0)), Resumed::Yielded(20.0));
/// assert_eq!(average.send(None), Resumed::Returned(40.0));
/// assert_eq!(average.state(), CoroutineState::Closed);
/// ```
///
/// Awaited in a task, it runs to its end: at each yield the value is dropped, the others have their turn, and it goes
/// on with `Resume::default()`. One that sends and receives nothing is also an iterator over what it yields.
pub struct Coroutine<Yield, Resume, Return> {
    body: Option<Pin<Box<dyn StdFuture<Output = Return>>>>,
    exchange: Rc<Exchange<Yield, Resume>>,
}

/// What lies between a coroutine and whoever drives it.
struct Exchange<Yield, Resume> {
    yielded: RefCell<Option<Yield>>,
    sent: RefCell<Option<Result<Resume, Thrown>>>,
    state: Cell<CoroutineState>,
}

/// A coroutine's own side: hands values out and receives what is sent.
pub struct Yielder<Yield, Resume> {
    exchange: Rc<Exchange<Yield, Resume>>,
}

impl<Yield, Resume> fmt::Debug for Yielder<Yield, Resume> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").field("state", &self.exchange.state.get()).finish_non_exhaustive()
    }
}

impl<Yield, Resume> Yielder<Yield, Resume> {
    /// Hands a value out, and waits until the coroutine is driven on.
    ///
    /// # Errors
    ///
    /// What [`Coroutine::throw`] has thrown in.
    pub async fn put(&self, value: Yield) -> Result<Resume, Thrown> {
        self.exchange.yielded.replace(Some(value));
        std::future::poll_fn(|_| match self.exchange.sent.take() {
            Some(sent) => Poll::Ready(sent),
            None => Poll::Pending,
        })
        .await
    }

    /// Where the coroutine stands; inside of its body that is [`CoroutineState::Running`].
    pub fn state(&self) -> CoroutineState {
        self.exchange.state.get()
    }
}

impl<Yield, Resume, Return> Coroutine<Yield, Resume, Return> {
    /// Makes a coroutine of a body. Nothing of it runs yet.
    pub fn new<Body, Running>(body: Body) -> Self
    where
        Body: FnOnce(Yielder<Yield, Resume>) -> Running + 'static,
        Running: StdFuture<Output = Return> + 'static,
        Yield: 'static,
        Resume: 'static,
    {
        let exchange = Rc::new(Exchange {
            yielded: RefCell::new(None),
            sent: RefCell::new(None),
            state: Cell::new(CoroutineState::Created),
        });
        let yielder = Yielder { exchange: Rc::clone(&exchange) };
        // The block keeps the body's own statements from running now.
        let body = Box::pin(async move { body(yielder).await });
        Self { body: Some(body), exchange }
    }

    /// Where it stands.
    pub fn state(&self) -> CoroutineState {
        self.exchange.state.get()
    }

    /// Runs it to its first yield. Python: "priming", `send(None)`.
    ///
    /// On one that waits at a yield it changes nothing, and gives [`Resumed::Awaiting`].
    pub fn start(&mut self) -> Resumed<Yield, Return> {
        self.step(&mut Context::from_waker(Waker::noop()))
    }

    /// Drives it on with a value, which the yield that it waits at returns.
    pub fn send(&mut self, value: Resume) -> Resumed<Yield, Return> {
        self.resume(Ok(value))
    }

    /// Raises an error where it waits: its yield returns the error.
    pub fn throw(&mut self, error: impl Into<Thrown>) -> Resumed<Yield, Return> {
        self.resume(Err(error.into()))
    }

    /// Ends it where it waits: its body is dropped, which runs destructors. Python: `GeneratorExit`.
    pub fn close(&mut self) {
        self.exchange.state.set(CoroutineState::Closed);
        let body = self.body.take();
        drop(body);
    }

    fn resume(&mut self, sent: Result<Resume, Thrown>) -> Resumed<Yield, Return> {
        match self.state() {
            CoroutineState::Created => return Resumed::NotStarted,
            CoroutineState::Closed => return Resumed::Closed,
            CoroutineState::Running | CoroutineState::Suspended => {}
        }
        self.exchange.sent.replace(Some(sent));
        self.step(&mut Context::from_waker(Waker::noop()))
    }

    fn step(&mut self, context: &mut Context<'_>) -> Resumed<Yield, Return> {
        let Some(body) = &mut self.body else { return Resumed::Closed };
        self.exchange.state.set(CoroutineState::Running);
        match body.as_mut().poll(context) {
            Poll::Ready(returned) => {
                self.close();
                Resumed::Returned(returned)
            }
            Poll::Pending => {
                self.exchange.state.set(CoroutineState::Suspended);
                self.exchange.yielded.take().map_or(Resumed::Awaiting, Resumed::Yielded)
            }
        }
    }
}

impl<Yield, Resume, Return> fmt::Debug for Coroutine<Yield, Resume, Return> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coroutine").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// A coroutine that sends and receives nothing is a generator.
impl<Yield> Iterator for Coroutine<Yield, (), ()> {
    type Item = Yield;

    fn next(&mut self) -> Option<Yield> {
        let resumed = if self.state() == CoroutineState::Created { self.start() } else { self.send(()) };
        match resumed {
            Resumed::Yielded(value) => Some(value),
            Resumed::Returned(()) | Resumed::Awaiting | Resumed::NotStarted | Resumed::Closed => None,
        }
    }
}

impl<Yield, Resume: Default, Return> StdFuture for Coroutine<Yield, Resume, Return> {
    type Output = Return;

    /// # Panics
    ///
    /// If it is polled after it has returned or was closed, as any future may.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Return> {
        if self.state() == CoroutineState::Suspended && self.exchange.sent.borrow().is_none() {
            self.exchange.sent.replace(Some(Ok(Resume::default())));
        }
        match self.step(context) {
            Resumed::Returned(returned) => Poll::Ready(returned),
            Resumed::Yielded(value) => {
                drop(value);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Resumed::Awaiting | Resumed::NotStarted => {
                // What it awaits will wake it; nothing was sent to a yield.
                self.exchange.sent.take();
                Poll::Pending
            }
            Resumed::Closed => panic!("a coroutine is polled after its end"),
        }
    }
}
