//! `EventLoop`: the engine's host for Rust tasks. One loop, one thread at a time.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future as StdFuture;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ourio_engine::{Engine, Event, Patience, Remote, Time, TimerId};
use slab::Slab;

use crate::context;
use crate::error::{Cancelled, Error, Panicked, Result, TaskError};
use crate::task::{Slot, Task, TaskId, TaskInfo, TaskState, TaskWaker, panicked};

/// What the engine schedules. Everything that is not `Send` is named by its place, so that an entry may come from any
/// thread.
pub(crate) enum Entry {
    Task(TaskId),
    /// The future that the loop was started with.
    Main,
    /// A timer that wakes somebody.
    Wake(Waker),
    Call(CallId),
    Remote(Box<dyn FnOnce() + Send>),
    /// Something that nobody here has asked for yet: a descriptor, a signal, a child.
    Unasked,
}

impl From<Event> for Entry {
    fn from(_event: Event) -> Self {
        Self::Unasked
    }
}

type Callback = Box<dyn FnOnce()>;

/// Names a callback of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallId {
    place: usize,
    serial: u64,
}

thread_local! {
    /// The loop that runs in this thread.
    static RUNNING: RefCell<Option<Rc<Inner>>> = const { RefCell::new(None) };
}

/// The loop that runs in this thread.
///
/// # Panics
///
/// If there is none; asyncio: "no running event loop".
#[track_caller]
pub(crate) fn running() -> Rc<Inner> {
    match RUNNING.with_borrow(Clone::clone) {
        Some(running) => running,
        None => panic!("no running event loop"),
    }
}

pub(crate) fn with_running<T>(body: impl FnOnce(&Inner) -> T) -> Option<T> {
    let running = RUNNING.try_with(|running| running.borrow().clone()).ok().flatten()?;
    Some(body(&running))
}

/// Puts an entry into a loop's queue: directly in the thread in which that loop runs, through its inbox elsewhere.
pub(crate) fn enqueue(loop_id: u64, remote: &Remote<Entry>, entry: Entry) {
    let mut entry = Some(entry);
    with_running(|running| {
        if running.id == loop_id
            && let Some(entry) = entry.take()
        {
            running.engine.borrow_mut().schedule(entry);
        }
    });
    if let Some(entry) = entry {
        // A loop that is closed wakes nobody.
        drop(remote.send(entry));
    }
}

/// Runs a future to its end on a loop of its own. asyncio: `asyncio.run`.
///
/// Tasks that are left when it ends are dropped.
///
/// # Errors
///
/// [`Error::Running`] inside of another loop, [`Error::System`] if the kernel refuses a loop, [`Error::Panicked`] if
/// the future panics.
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
    inner: Rc<Inner>,
}

pub(crate) struct Inner {
    id: u64,
    engine: RefCell<Engine<Entry>>,
    remote: Remote<Entry>,
    tasks: RefCell<Slab<Slot>>,
    calls: RefCell<Slab<(u64, Callback)>>,
    /// Numbers tasks and callbacks, so that a place that is used again is not mistaken.
    serials: Cell<u64>,
    current: Cell<Option<TaskId>>,
    stopping: Cell<bool>,
    closed: Cell<bool>,
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

impl EventLoop {
    /// A loop on the kernel's clock and poller.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the process is out of descriptors or memory.
    pub fn new() -> Result<Self> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let engine: Engine<Entry> = Engine::new()?;
        let inner = Inner {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            remote: engine.remote(),
            engine: RefCell::new(engine),
            tasks: RefCell::default(),
            calls: RefCell::default(),
            serials: Cell::new(0),
            current: Cell::new(None),
            stopping: Cell::new(false),
            closed: Cell::new(false),
        };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// Runs until the future is done, and gives its result. The loop can be run again.
    ///
    /// # Errors
    ///
    /// [`Error::Running`], [`Error::Closed`], [`Error::Stopped`] if [`stop`](EventLoop::stop) ends it first,
    /// [`Error::System`] if the kernel refuses to wait, [`Error::Panicked`].
    pub fn run_until_complete<T>(&self, future: impl StdFuture<Output = T>) -> Result<T> {
        let main = Arc::new(MainWaker { loop_id: self.inner.id, remote: self.inner.remote.clone() });
        main.wake_by_ref();
        let waker = Waker::from(main);
        let mut future = pin!(future);
        let mut outcome = None;
        // asyncio: the main task has a copy of the context, so that what it sets ends with it.
        let outer = context::enter(context::current());
        let driven = self.drive(|| {
            let mut context = Context::from_waker(&waker);
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))) {
                Ok(Poll::Pending) => false,
                Ok(Poll::Ready(value)) => {
                    outcome = Some(Ok(value));
                    true
                }
                Err(payload) => {
                    outcome = Some(Err(Error::Panicked(Panicked::new(&*payload))));
                    true
                }
            }
        });
        drop(context::enter(outer));
        driven?;
        outcome.unwrap_or(Err(Error::Stopped))
    }

    /// Runs until [`stop`](EventLoop::stop).
    ///
    /// # Errors
    ///
    /// As [`run_until_complete`](EventLoop::run_until_complete).
    pub fn run_forever(&self) -> Result<()> {
        self.drive(|| false)
    }

    /// Ends the run after the turn that is under way; before a run, after its first turn.
    pub fn stop(&self) {
        self.inner.stopping.set(true);
    }

    /// Whether it runs, in this thread.
    pub fn is_running(&self) -> bool {
        with_running(|running| running.id == self.inner.id).unwrap_or(false)
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.inner.closed.get()
    }

    /// Drops every task and callback. Nothing can be run afterwards.
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
        Duration::from_nanos(self.inner.engine.borrow().now().as_nanos())
    }

    /// Runs a future as a task of this loop, which need not run yet.
    #[track_caller]
    pub fn spawn<T: 'static>(&self, future: impl StdFuture<Output = T> + 'static) -> Task<T> {
        self.inner.spawn_at(future, None, Location::caller())
    }

    /// Calls a function in the next turn, first in, first out.
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> Handle {
        let id = self.inner.keep(Box::new(callback));
        self.inner.engine.borrow_mut().schedule(Entry::Call(id));
        Handle { inner: Rc::downgrade(&self.inner), id, timer: None }
    }

    /// Calls a function after a delay, never before.
    pub fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> Handle {
        let id = self.inner.keep(Box::new(callback));
        let timer = self.inner.schedule_after(delay, Entry::Call(id));
        Handle { inner: Rc::downgrade(&self.inner), id, timer: Some(timer) }
    }

    /// A handle for other threads.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle { remote: self.inner.remote.clone() }
    }

    fn drive(&self, mut main: impl FnMut() -> bool) -> Result<()> {
        let inner = &self.inner;
        if inner.closed.get() {
            return Err(Error::Closed);
        }
        let _entered = Entered::enter(inner)?;
        inner.engine.borrow_mut().poll_soon();
        let outcome = loop {
            match inner.turn(&mut main) {
                Ok(true) => break Ok(()),
                Ok(false) if inner.stopping.get() => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error),
            }
        };
        inner.stopping.set(false);
        outcome
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        self.inner.close();
    }
}

/// The thread's running loop, for as long as this lives.
struct Entered;

impl Entered {
    fn enter(inner: &Rc<Inner>) -> Result<Self> {
        RUNNING.with_borrow_mut(|running| {
            if running.is_some() {
                return Err(Error::Running);
            }
            *running = Some(Rc::clone(inner));
            Ok(Self)
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = RUNNING.take();
        drop(before);
    }
}

impl Inner {
    /// One turn; whether the main future is done.
    fn turn(&self, main: &mut impl FnMut() -> bool) -> Result<bool> {
        let wait = {
            let mut engine = self.engine.borrow_mut();
            let now = engine.turn_time();
            let patience = if self.stopping.get() { Patience::Poll } else { Patience::Block };
            if engine.begin_without_poll(now) { None } else { Some(engine.prepare(now, patience)) }
        };
        if let Some(wait) = wait {
            let events = wait.block()?;
            let mut engine = self.engine.borrow_mut();
            let now = engine.now();
            engine.absorb(events, now);
        }
        let mut done = false;
        loop {
            let entry = self.engine.borrow_mut().next();
            match entry {
                None => return Ok(done),
                Some(Entry::Main) => done = done || main(),
                Some(Entry::Task(id)) => self.step(id),
                Some(Entry::Wake(waker)) => waker.wake(),
                Some(Entry::Call(id)) => self.call(id),
                Some(Entry::Remote(callback)) => report_panic(callback),
                Some(Entry::Unasked) => {}
            }
        }
    }

    /// Drives a task one step.
    fn step(&self, id: TaskId) {
        let taken = {
            let mut tasks = self.tasks.borrow_mut();
            let slot = tasks.get_mut(id.place).filter(|slot| slot.serial == id.serial);
            slot.and_then(|slot| {
                slot.waker.leave_queue();
                let body = slot.body.take()?;
                let context = slot.context.take().unwrap_or_default();
                Some((body, context, Rc::clone(&slot.core), Arc::clone(&slot.waker)))
            })
        };
        let Some((mut body, context, core, waker)) = taken else { return };
        if let Some(cancelled) = core.cancellation() {
            self.end(id);
            drop_body(body, context);
            core.fail(TaskError::Cancelled(cancelled));
            return;
        }
        core.set_state(TaskState::Running);
        let outer = context::enter(context);
        let before = self.current.replace(Some(id));
        let waker = Waker::from(waker);
        let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(&mut Context::from_waker(&waker))));
        self.current.set(before);
        let context = context::enter(outer);
        match polled {
            Ok(Poll::Pending) => {
                core.set_state(TaskState::Suspended);
                if let Some(slot) = self.tasks.borrow_mut().get_mut(id.place) {
                    slot.body = Some(body);
                    slot.context = Some(context);
                }
                if core.cancellation().is_some() {
                    // It has cancelled itself: nobody may be left to wake it.
                    waker.wake();
                }
            }
            Ok(Poll::Ready(())) => {
                self.end(id);
                drop_body(body, context);
            }
            Err(payload) => {
                self.end(id);
                drop_body(body, context);
                core.fail(panicked(&*payload));
            }
        }
    }

    /// Gives a task's place free.
    fn end(&self, id: TaskId) {
        let slot = self.tasks.borrow_mut().try_remove(id.place);
        drop(slot);
    }

    fn call(&self, id: CallId) {
        if let Some(callback) = self.forget(id) {
            report_panic(callback);
        }
    }

    fn keep(&self, callback: Callback) -> CallId {
        let serial = self.next_serial();
        CallId { place: self.calls.borrow_mut().insert((serial, callback)), serial }
    }

    fn forget(&self, id: CallId) -> Option<Callback> {
        let mut calls = self.calls.borrow_mut();
        calls.get(id.place).filter(|(serial, _)| *serial == id.serial)?;
        calls.try_remove(id.place).map(|(_, callback)| callback)
    }

    fn next_serial(&self) -> u64 {
        self.serials.set(self.serials.get() + 1);
        self.serials.get()
    }

    pub(crate) fn spawn_at<T: 'static>(
        &self,
        future: impl StdFuture<Output = T> + 'static,
        name: Option<String>,
        spawned_at: &'static Location<'static>,
    ) -> Task<T> {
        let serial = self.next_serial();
        let (task, core, body) = Task::new(future, name, serial, spawned_at);
        if self.closed.get() {
            core.fail(TaskError::Cancelled(Cancelled { message: Some("the event loop is closed".into()) }));
            return task;
        }
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let id = TaskId { place: entry.key(), serial };
        let waker = Arc::new(TaskWaker::new(id, self.id, self.remote.clone()));
        entry.insert(Slot {
            body: Some(body),
            core,
            waker: Arc::clone(&waker),
            context: Some(context::current()),
            serial,
        });
        drop(tasks);
        task.set_waker(Waker::from(Arc::clone(&waker)));
        // Before a run too, in which case it waits in the queue.
        waker.mark_queued();
        self.engine.borrow_mut().schedule(Entry::Task(id));
        task
    }

    pub(crate) fn now(&self) -> Time {
        self.engine.borrow().now()
    }

    pub(crate) fn wake_at(&self, deadline: Time, waker: Waker) -> TimerId {
        self.engine.borrow_mut().schedule_at(deadline, Entry::Wake(waker))
    }

    fn schedule_after(&self, delay: Duration, entry: Entry) -> TimerId {
        let mut engine = self.engine.borrow_mut();
        let deadline = engine.now().saturating_add(delay);
        engine.schedule_at(deadline, entry)
    }

    pub(crate) fn cancel_timer(&self, timer: TimerId) {
        let entry = self.engine.borrow_mut().cancel(timer);
        drop(entry);
    }

    pub(crate) fn current_task(&self) -> Option<TaskInfo> {
        let id = self.current.get()?;
        let tasks = self.tasks.borrow();
        tasks.get(id.place).filter(|slot| slot.serial == id.serial).map(|slot| slot.core.info())
    }

    pub(crate) fn all_tasks(&self) -> Vec<TaskInfo> {
        let tasks = self.tasks.borrow();
        tasks.iter().map(|(_, slot)| slot.core.info()).filter(|info| !info.state.is_done()).collect()
    }

    /// Drops everything, tasks first: their destructors may still look at the loop.
    fn close(&self) {
        if self.closed.replace(true) {
            return;
        }
        loop {
            // One at a time: a destructor may spawn, which is refused, or cancel another.
            let mut tasks = self.tasks.borrow_mut();
            let Some(place) = tasks.iter().next().map(|(place, _)| place) else { break };
            let slot = tasks.remove(place);
            drop(tasks);
            let message = Some("the event loop is closed".to_owned());
            drop_body(slot.body, slot.context.unwrap_or_default());
            slot.core.fail(TaskError::Cancelled(Cancelled { message }));
        }
        let calls = self.calls.take();
        let entries = self.engine.borrow_mut().close();
        drop((calls, entries));
    }
}

/// Drops what a task was made of, in its own context; a destructor's panic stays here.
fn drop_body<T>(body: T, context: context::Context) {
    let outer = context::enter(context);
    report_panic(move || drop(body));
    drop(context::enter(outer));
}

/// A callback's panic is the panic hook's to report, and ends nothing but the callback.
fn report_panic(callback: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(callback)));
}

/// Wakes the future that the loop was started with.
struct MainWaker {
    loop_id: u64,
    remote: Remote<Entry>,
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        enqueue(self.loop_id, &self.remote, Entry::Main);
    }
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
        let Some(inner) = self.inner.upgrade() else { return false };
        if let Some(timer) = self.timer {
            inner.cancel_timer(timer);
        }
        let callback = inner.forget(self.id);
        callback.is_some()
    }
}

/// A loop as other threads see it.
#[derive(Clone)]
pub struct LoopHandle {
    remote: Remote<Entry>,
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
        self.remote.send(Entry::Remote(Box::new(callback))).map_err(|_| Error::Closed)
    }
}
