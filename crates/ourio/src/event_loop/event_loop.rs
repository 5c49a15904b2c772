//! `EventLoop`: one loop, one thread at a time; how it is built and run, and what is called by it.

use std::fmt;
use std::future::Future as StdFuture;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ourio_engine::{Clock, Engine, PoolLimits, Schedule, SimulatedClock, Time, TimerId};

use crate::context;
use crate::error::{Cancelled, Error, Result, TaskError};
use crate::insight::{OnDeadlock, SlowPoll};
use crate::scheduling::running::{self, Entered};
use crate::scheduling::{CallId, Entry, Inner, Main, RemoteCall};
use crate::table::Door;
use crate::task::Task;

/// Runs a future to its end on a loop of its own. asyncio: `asyncio.run`.
///
/// Tasks that are left when it ends are dropped.
///
/// # Errors
///
/// [`Error::Running`] inside of another loop, [`Error::System`] if the kernel refuses a loop, [`Error::Panicked`] if
/// the future panics, [`Error::Deadlock`] if it and every task wait for what can never happen,
/// [`Error::Cancelled`] if the future's own task was cancelled.
#[track_caller]
pub fn run<T>(future: impl StdFuture<Output = T>) -> Result<T> {
    EventLoop::new()?.run_until_complete(future)
}

/// An event loop: runs tasks and callbacks in the thread that runs it.
///
/// The order of a turn is asyncio's: what descriptors report, due timers, then what was scheduled before the turn,
/// first in, first out.
///
/// # Threads
///
/// A loop is not `Send`. Other threads reach it through a [`LoopHandle`], and by waking its tasks.
pub struct EventLoop {
    pub(crate) inner: Rc<Inner>,
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("running", &self.is_running())
            .field("closed", &self.is_closed())
            .field("tasks", &self.inner.tasks.borrow().len())
            .finish_non_exhaustive()
    }
}

/// Chooses how a loop behaves.
#[derive(Debug, Default)]
#[must_use = "nothing is built until it is"]
pub struct LoopBuilder {
    debug: bool,
    slow_after: Option<Duration>,
    on_deadlock: OnDeadlock,
    threads: Option<usize>,
    pub(crate) clock: Option<SimulatedClock>,
    pub(crate) schedule: Schedule,
}

impl LoopBuilder {
    /// Reports steps of tasks that take 100 ms or longer. asyncio: `debug=True`.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Reports steps of tasks that take this long or longer. asyncio: `slow_callback_duration`.
    pub fn slow_callback_duration(mut self, limit: Duration) -> Self {
        self.slow_after = Some(limit);
        self
    }

    /// What happens when every task waits for what can never happen.
    pub fn on_deadlock(mut self, on_deadlock: OnDeadlock) -> Self {
        self.on_deadlock = on_deadlock;
        self
    }

    /// How many threads [`to_thread`](crate::to_thread) may use at most; at least one. Ahead of it, what asyncio's
    /// executor has: `min(32, cpus + 4)`.
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the process is out of descriptors or memory.
    pub fn build(self) -> Result<EventLoop> {
        let clock = self.clock.map_or(Clock::Real, Clock::Simulated);
        let engine: Engine<Entry> = Engine::builder().clock(clock).schedule(self.schedule).build()?;
        let built = EventLoop { inner: Inner::new(engine) };
        built.set_debug(self.debug);
        if self.slow_after.is_some() {
            built.inner.slow_after.set(self.slow_after);
        }
        built.inner.on_deadlock.set(self.on_deadlock);
        if let Some(threads) = self.threads {
            built.inner.limit_pool(PoolLimits { threads, ..PoolLimits::default() });
        }
        Ok(built)
    }
}

/// asyncio: `slow_callback_duration`.
const SLOW_AFTER: Duration = Duration::from_millis(100);

impl EventLoop {
    /// A loop on the kernel's clock and poller.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the process is out of descriptors or memory.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Chooses how a loop behaves.
    pub fn builder() -> LoopBuilder {
        LoopBuilder::default()
    }

    /// Runs until the future is done, and gives its result. The loop can be run again.
    ///
    /// The future is a task like any other ([`current_task`](crate::current_task)), except that it may borrow.
    ///
    /// # Errors
    ///
    /// [`Error::Running`], [`Error::Closed`], [`Error::Stopped`] if [`stop`](EventLoop::stop) ends it first,
    /// [`Error::System`] if the kernel refuses to wait, [`Error::Panicked`], [`Error::Cancelled`],
    /// [`Error::Deadlock`]. The future is dropped in any case.
    #[track_caller]
    pub fn run_until_complete<T>(&self, future: impl StdFuture<Output = T>) -> Result<T> {
        let inner = &self.inner;
        if inner.closed.get() {
            return Err(Error::Closed);
        }
        let entered = Entered::enter(inner)?;
        // Its context is a copy, so that what it sets ends with it.
        let id = inner.insert(None, None, Location::caller(), false);
        inner.engine.borrow_mut().schedule(Entry::Task(id));
        let mut main = MainFuture { future: pin!(Some(future)), outcome: None };
        let driven = inner.drive(Some((id, &mut main)));
        let outcome = main.outcome.take();
        // In its context, and while the loop still runs: destructors may look at both.
        let context = inner.look(id, |slot| slot.context.take()).flatten();
        let outer = context::enter(context);
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| main.future.set(None)));
        drop(context::enter(outer));
        drop((entered, dropped));
        inner.remove(id);
        driven?;
        outcome.unwrap_or(Err(Error::Stopped))
    }

    /// Runs until [`stop`](EventLoop::stop).
    ///
    /// # Errors
    ///
    /// As [`run_until_complete`](EventLoop::run_until_complete).
    pub fn run_forever(&self) -> Result<()> {
        if self.inner.closed.get() {
            return Err(Error::Closed);
        }
        let _entered = Entered::enter(&self.inner)?;
        self.inner.drive(None)
    }

    /// Ends the run after the turn that is under way; before a run, after its first turn.
    pub fn stop(&self) {
        self.inner.stopping.set(true);
    }

    /// Whether it runs, in this thread.
    pub fn is_running(&self) -> bool {
        running::with(|running| Rc::ptr_eq(running, &self.inner)).unwrap_or(false)
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.inner.closed.get()
    }

    /// Drops every task and callback. Nothing can be run afterwards. Waits for blocking calls that are under way.
    ///
    /// # Errors
    ///
    /// [`Error::Running`] while it runs.
    pub fn close(&self) -> Result<()> {
        if self.is_running() {
            return Err(Error::Running);
        }
        self.inner.close();
        Ok(())
    }

    /// The loop's time: seconds of no particular origin, never going back.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.inner.now().as_nanos())
    }

    /// Whether steps of tasks are timed; those of 100 ms or more are then reported.
    pub fn set_debug(&self, debug: bool) {
        self.inner.slow_after.set(debug.then_some(SLOW_AFTER));
    }

    /// Calls a function with every slow step, in place of printing it to standard error.
    pub fn on_slow_poll(&self, tell: impl Fn(&SlowPoll) + 'static) {
        self.inner.on_slow.replace(Some(Rc::new(tell)));
    }

    /// Runs a future as a task of this loop, which need not run yet. asyncio: `loop.create_task`.
    #[track_caller]
    pub fn spawn<T: 'static>(&self, future: impl StdFuture<Output = T> + 'static) -> Task<T> {
        self.inner.spawn_at(future, None, Location::caller())
    }

    /// Calls a function in the next turn, first in, first out, in a copy of the context of whoever asks.
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> Handle {
        soon(&self.inner, callback)
    }

    /// Calls a function after a delay, never before.
    pub fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> Handle {
        at(&self.inner, self.inner.now().saturating_add(delay), callback)
    }

    /// Calls a function at a time of this loop's clock ([`EventLoop::time`]), never before.
    pub fn call_at(&self, when: Duration, callback: impl FnOnce() + 'static) -> Handle {
        at(&self.inner, Time::ZERO.saturating_add(when), callback)
    }

    /// Calls a function whenever a descriptor is readable. An earlier one of the same descriptor is replaced.
    ///
    /// It is called at every turn for as long as there is something to read. [`EventLoop::remove_reader`] must come
    /// before the descriptor is closed. For descriptors of others: the sockets of [`net`](crate::net) are awaited.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the descriptor cannot be polled, as a regular file cannot.
    pub fn add_reader(&self, fd: impl AsFd, callback: impl FnMut() + 'static) -> Result<()> {
        self.inner.add_callback(fd.as_fd().as_raw_fd(), crate::reactor::Side::Read, Box::new(callback))
    }

    /// Ends [`EventLoop::add_reader`]; false if there was none.
    pub fn remove_reader(&self, fd: impl AsFd) -> bool {
        self.inner.remove_callback(fd.as_fd().as_raw_fd(), crate::reactor::Side::Read)
    }

    /// Calls a function whenever a descriptor is writable, as [`EventLoop::add_reader`] does for readable ones.
    ///
    /// # Errors
    ///
    /// As [`EventLoop::add_reader`].
    pub fn add_writer(&self, fd: impl AsFd, callback: impl FnMut() + 'static) -> Result<()> {
        self.inner.add_callback(fd.as_fd().as_raw_fd(), crate::reactor::Side::Write, Box::new(callback))
    }

    /// Ends [`EventLoop::add_writer`]; false if there was none.
    pub fn remove_writer(&self, fd: impl AsFd) -> bool {
        self.inner.remove_callback(fd.as_fd().as_raw_fd(), crate::reactor::Side::Write)
    }

    /// Calls a function whenever a signal arrives. An earlier one of the same signal is replaced.
    ///
    /// # Errors
    ///
    /// [`Error::System`] for a signal that the kernel does not know, or that cannot be caught.
    pub fn add_signal_handler(&self, signal: i32, callback: impl FnMut() + 'static) -> Result<()> {
        self.inner.set_signal_handler(signal, Box::new(callback))
    }

    /// Ends [`EventLoop::add_signal_handler`]; false if there was none.
    pub fn remove_signal_handler(&self, signal: i32) -> bool {
        self.inner.remove_signal_handler(signal)
    }

    /// A handle for other threads.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle { door: Arc::clone(&self.inner.door), _counted: Arc::clone(&self.inner.handles) }
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        self.inner.close();
    }
}

struct MainFuture<'a, F: StdFuture> {
    future: Pin<&'a mut Option<F>>,
    outcome: Option<Result<F::Output>>,
}

impl<F: StdFuture> Main for MainFuture<'_, F> {
    fn drive(&mut self, context: &mut Context<'_>) -> bool {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return true };
        match future.poll(context) {
            Poll::Pending => false,
            Poll::Ready(value) => {
                self.outcome = Some(Ok(value));
                true
            }
        }
    }

    fn fail(&mut self, error: TaskError) {
        self.outcome = Some(Err(match error {
            TaskError::Cancelled(cancelled) => Error::Cancelled(cancelled),
            TaskError::Panicked(panicked) => Error::Panicked(panicked),
        }));
    }
}

/// Calls a function in the next turn of the loop that runs in this thread. asyncio: `get_running_loop().call_soon`.
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn call_soon(callback: impl FnOnce() + 'static) -> Handle {
    soon(&running::expect(), callback)
}

/// Calls a function after a delay, on the loop that runs in this thread.
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn call_later(delay: Duration, callback: impl FnOnce() + 'static) -> Handle {
    let inner = running::expect();
    let when = inner.now().saturating_add(delay);
    at(&inner, when, callback)
}

/// The time of the loop that runs in this thread. asyncio: `get_running_loop().time()`.
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn time() -> Duration {
    Duration::from_nanos(running::expect().now().as_nanos())
}

/// A handle of the loop that runs in this thread, for other threads.
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn running_loop() -> LoopHandle {
    let inner = running::expect();
    LoopHandle { door: Arc::clone(&inner.door), _counted: Arc::clone(&inner.handles) }
}

fn soon(inner: &Rc<Inner>, callback: impl FnOnce() + 'static) -> Handle {
    let id = inner.keep(Box::new(callback));
    inner.engine.borrow_mut().schedule(Entry::Call(id));
    Handle { inner: Rc::downgrade(inner), id, timer: None }
}

fn at(inner: &Rc<Inner>, when: Time, callback: impl FnOnce() + 'static) -> Handle {
    let id = inner.keep(Box::new(callback));
    let timer = inner.schedule_at(when, Entry::Call(id));
    Handle { inner: Rc::downgrade(inner), id, timer: Some(timer) }
}

/// A scheduled callback. Dropping it changes nothing.
pub struct Handle {
    inner: Weak<Inner>,
    id: CallId,
    timer: Option<TimerId>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Handle {
    /// Takes the callback back; false if it has run, or was taken back before.
    pub fn cancel(&self) -> bool {
        self.inner.upgrade().is_some_and(|inner| inner.take_back(self.id, self.timer))
    }
}

/// A loop as other threads see it.
///
/// While one exists, the loop cannot tell that its tasks are deadlocked: somebody might still call.
#[derive(Clone)]
pub struct LoopHandle {
    door: Arc<Door>,
    _counted: Arc<()>,
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle").finish_non_exhaustive()
    }
}

impl LoopHandle {
    /// Calls a function in the loop's thread, and wakes the loop.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the loop is closed; the function is dropped.
    pub fn call_soon_threadsafe(&self, callback: impl FnOnce() + Send + 'static) -> Result<()> {
        let call = Entry::Remote(Box::new(RemoteCall(Box::new(callback))));
        self.door.remote.send(call).map_err(|_| Error::Closed)
    }

    /// Runs a future on the loop from another thread, which may wait for its outcome. asyncio:
    /// `run_coroutine_threadsafe`.
    ///
    /// The function makes the future in the loop's thread, so that the future itself need not be `Send`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the loop is closed.
    pub fn run_threadsafe<T, F>(&self, make: impl FnOnce() -> F + Send + 'static) -> Result<Outcome<T>>
    where
        F: StdFuture<Output = T> + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.call_soon_threadsafe(move || {
            let task = crate::spawn(make());
            crate::spawn(async move {
                // Nobody may be left who wants to know.
                drop(sender.send(task.await));
            })
            .detach();
        })?;
        Ok(Outcome { receiver })
    }
}

/// What [`LoopHandle::run_threadsafe`] gives. asyncio: `concurrent.futures.Future`.
#[derive(Debug)]
pub struct Outcome<T> {
    receiver: std::sync::mpsc::Receiver<Result<T, TaskError>>,
}

impl<T> Outcome<T> {
    /// Blocks this thread until the future is done.
    ///
    /// # Errors
    ///
    /// The task's error; cancelled, if its loop was closed before.
    pub fn wait(self) -> Result<T, TaskError> {
        let gone = || Err(TaskError::Cancelled(Cancelled::default()));
        self.receiver.recv().unwrap_or_else(|_| gone())
    }
}
