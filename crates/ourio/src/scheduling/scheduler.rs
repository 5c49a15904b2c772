//! What a loop is made of, and its turn: the engine's entries become steps of tasks.
//!
//! What a descriptor or a timer reports for a task drives that task on the spot, in the place of the report in the
//! queue; a task that is woken by another waits for the next turn, as asyncio's futures have it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future as StdFuture;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, RawWakerVTable, Waker};
use std::time::{Duration, Instant};

use ourio_engine::{
    BlockingPool, ChildId, Engine, Event, Exit, IoEvent, Luck, Patience, PoolLimits, Time, TimerId,
};
use slab::Slab;

use crate::context;
use crate::error::{Cancelled, Error, Result, TaskError};
use crate::insight::{Deadlock, OnDeadlock, SlowPoll};
use crate::process::Waiting;
use crate::reactor::Source;
use crate::signal::Listeners;
use crate::table::{Body, Door, Rare, Slot, Stage, TaskId, TaskWaker};
use crate::task::{Task, TaskState, panicked};
use crate::waiters::Waits;

/// What the engine schedules. Everything that is not `Send` is named by its place, so that an entry may come from any
/// thread. Two words: a million timers hold one each.
pub(crate) enum Entry {
    /// A task that was woken.
    Task(TaskId),
    /// A task whose time has come.
    Due(TaskId),
    /// The same for whoever is no task.
    Wake(Box<Waker>),
    /// A task that another thread has woken.
    Woken(Arc<TaskWaker>),
    /// Another thread wants a task to be cancelled.
    Cancel(Box<(TaskId, Option<String>)>),
    Call(CallId),
    Remote(Box<RemoteCall>),
    /// A blocking call has ended; whoever awaits it, if anybody does.
    Job(Option<Box<Waker>>),
    Io(IoEvent),
    Signal(i32),
    Child(Box<(ChildId, Exit)>),
}

pub(crate) struct RemoteCall(pub(crate) Box<dyn FnOnce() + Send>);

const _: () = assert!(size_of::<Entry>() <= 16);

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        match event {
            Event::Io(event) => Self::Io(event),
            Event::Signal(number) => Self::Signal(number),
            Event::Child { child, exit } => Self::Child(Box::new((child, exit))),
        }
    }
}

/// Is told of every slow step.
pub(crate) type Tell = Rc<dyn Fn(&SlowPoll)>;

pub(crate) type Callback = Box<dyn FnOnce()>;

/// Names a callback of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallId {
    place: u32,
    serial: u32,
}

struct Call {
    serial: u32,
    context: context::Context,
    callback: Callback,
}

/// The task that runs, and the waker it is polled with.
#[derive(Clone, Copy)]
struct Current {
    id: TaskId,
    data: *const (),
    vtable: &'static RawWakerVTable,
}

/// The future that a loop was started with: it need not be `'static`, so it is not in the table.
pub(crate) trait Main {
    /// Whether it is done.
    fn drive(&mut self, context: &mut Context<'_>) -> bool;
    /// It gives no result.
    fn fail(&mut self, error: TaskError);
}

pub(crate) struct Inner {
    pub(crate) door: Arc<Door>,
    /// One clone for each handle that another thread may hold.
    pub(crate) handles: Arc<()>,
    pub(crate) engine: RefCell<Engine<Entry>>,
    pub(crate) tasks: RefCell<Slab<Slot>>,
    calls: RefCell<Slab<Call>>,
    /// By descriptor.
    pub(crate) sources: RefCell<Vec<Option<Rc<Source>>>>,
    /// Tasks and callbacks that wait for a descriptor.
    pub(crate) io_waiting: Cell<usize>,
    pub(crate) children: RefCell<BTreeMap<ChildId, Rc<Waiting>>>,
    pub(crate) signals: RefCell<BTreeMap<i32, Listeners>>,
    /// Read into by whoever has no memory of its own that may be read into.
    #[cfg(feature = "hyper")]
    pub(crate) scratch: RefCell<Vec<u8>>,
    pool: RefCell<Option<Rc<BlockingPool>>>,
    pool_limits: Cell<PoolLimits>,
    /// Blocking calls under way.
    pub(crate) jobs: Cell<usize>,
    /// Whether it was worth it to stay awake for them.
    luck: Luck,
    /// Numbers tasks and callbacks, so that a place that is used again is not mistaken.
    serials: Cell<u32>,
    /// Wakers that nobody but the loop holds, for tasks to come.
    bells: RefCell<Vec<(Waker, Arc<TaskWaker>)>>,
    current: Cell<Option<Current>>,
    /// What the task that runs has said last that it waits for.
    noted: Cell<Waits>,
    /// The task that runs is to have another turn.
    again: Cell<bool>,
    main: Cell<Option<TaskId>>,
    pub(crate) stopping: Cell<bool>,
    pub(crate) closed: Cell<bool>,
    pub(crate) on_deadlock: Cell<OnDeadlock>,
    /// A task that could be woken from outside when it was last looked for: most likely it still can.
    reachable: Cell<Option<TaskId>>,
    pub(crate) slow_after: Cell<Option<Duration>>,
    pub(crate) on_slow: RefCell<Option<Tell>>,
}

impl Inner {
    pub(crate) fn new(engine: Engine<Entry>) -> Rc<Self> {
        Rc::new(Self {
            door: Arc::new(Door { remote: engine.remote() }),
            handles: Arc::new(()),
            engine: RefCell::new(engine),
            tasks: RefCell::default(),
            calls: RefCell::default(),
            sources: RefCell::default(),
            io_waiting: Cell::new(0),
            children: RefCell::default(),
            signals: RefCell::default(),
            #[cfg(feature = "hyper")]
            scratch: RefCell::default(),
            pool: RefCell::new(None),
            pool_limits: Cell::new(PoolLimits::default()),
            jobs: Cell::new(0),
            luck: Luck::default(),
            serials: Cell::new(0),
            bells: RefCell::default(),
            current: Cell::new(None),
            noted: Cell::default(),
            again: Cell::new(false),
            main: Cell::new(None),
            stopping: Cell::new(false),
            closed: Cell::new(false),
            on_deadlock: Cell::new(OnDeadlock::Report),
            reachable: Cell::new(None),
            slow_after: Cell::new(None),
            on_slow: RefCell::new(None),
        })
    }

    /// Turns until the main future is done, or somebody asks to stop.
    pub(crate) fn drive(&self, main: Option<(TaskId, &mut dyn Main)>) -> Result<()> {
        let (id, mut main) = main.map_or((None, None), |(id, main)| (Some(id), Some(main)));
        let before = self.main.replace(id);
        self.engine.borrow_mut().begin_run();
        let outcome = loop {
            match self.turn(&mut main) {
                Ok(true) => break Ok(()),
                Ok(false) if self.stopping.get() => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error),
            }
        };
        self.main.set(before);
        self.engine.borrow_mut().end_run();
        self.stopping.set(false);
        outcome
    }

    /// One turn; whether the main future is done.
    fn turn(&self, main: &mut Option<&mut dyn Main>) -> Result<bool> {
        let wait = {
            let mut engine = self.engine.borrow_mut();
            let now = engine.turn_time();
            if engine.begin_without_poll(now) {
                None
            } else if self.stopping.get() {
                Some(engine.prepare(now, Patience::Poll))
            } else {
                // Twice: a thread that had a handle may have sent something, and then let go of the handle.
                if !engine.has_work() && self.is_stuck() && !engine.has_work() {
                    return Err(Error::Deadlock(self.deadlock()));
                }
                Some(engine.prepare(now, Patience::Block))
            }
        };
        if let Some(wait) = wait {
            let (events, _) = self.luck.block(wait, &self.door.remote, || self.jobs.get() > 0)?;
            let mut engine = self.engine.borrow_mut();
            let now = engine.now();
            engine.absorb(events, now);
        }
        let mut done = false;
        loop {
            let entry = self.engine.borrow_mut().next();
            match entry {
                None => return Ok(done),
                Some(Entry::Task(id)) => done |= self.step(id, main),
                Some(Entry::Due(id)) => done |= self.step_unless_queued(id, main),
                Some(Entry::Woken(waker)) => {
                    waker.arrived();
                    done |= self.step_unless_queued(waker.id(), main);
                }
                Some(Entry::Cancel(asked)) => {
                    self.cancel_task(asked.0, asked.1);
                }
                Some(Entry::Wake(waker)) => waker.wake(),
                Some(Entry::Call(id)) => self.call(id),
                Some(Entry::Remote(call)) => contain(call.0),
                Some(Entry::Job(waker)) => {
                    self.jobs.set(self.jobs.get() - 1);
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
                Some(Entry::Io(event)) => {
                    for id in self.ready(event).into_iter().flatten() {
                        done |= self.step_unless_queued(id, main);
                    }
                }
                Some(Entry::Signal(number)) => self.deliver_signal(number),
                Some(Entry::Child(ended)) => self.deliver_exit(ended.0, ended.1),
            }
        }
    }

    /// Drives a task that has not been put into the queue since: it would run twice.
    fn step_unless_queued(&self, id: TaskId, main: &mut Option<&mut dyn Main>) -> bool {
        let queued = self.look(id, |slot| slot.queued);
        queued == Some(false) && self.step(id, main)
    }

    /// Drives a task one step; whether it was the main future, which is done.
    fn step(&self, id: TaskId, main: &mut Option<&mut dyn Main>) -> bool {
        let taken = self.look(id, |slot| {
            slot.queued = false;
            if slot.state.is_done() {
                return None;
            }
            let taken = (slot.body.take(), slot.waker.take()?, slot.context.take(), slot.cancelling);
            slot.state = TaskState::Running;
            Some(taken)
        });
        let Some((body, waker, context, cancelling)) = taken.flatten() else { return false };
        let Some(mut body) = body else { return self.step_main(id, waker, context, cancelling, main) };
        if cancelling {
            drop_in(context, body);
            self.finish_cancelled(id, Some(waker));
            return false;
        }
        let (polled, context) = self.poll(id, &waker, context, |context| body.as_mut().drive(context));
        match polled {
            Ok(Poll::Pending) => self.suspend(id, Some(body), waker, context),
            Ok(Poll::Ready(())) => {
                self.finish(id, TaskState::Finished, Some((body, context)), None, Some(waker));
            }
            Err(error) => {
                drop_in(context, body);
                self.finish(id, TaskState::Panicked, None, Some(error), Some(waker));
            }
        }
        false
    }

    fn step_main(
        &self,
        id: TaskId,
        waker: Waker,
        context: context::Context,
        cancelling: bool,
        main: &mut Option<&mut dyn Main>,
    ) -> bool {
        let Some(main) = main else {
            // A future that was stopped: it is not run any more.
            self.suspend(id, None, waker, context);
            return false;
        };
        if cancelling {
            let message = self.look(id, |slot| slot.rare().message.clone()).flatten();
            main.fail(TaskError::Cancelled(Cancelled { message }));
            return true;
        }
        let (polled, context) =
            self.poll(
                id,
                &waker,
                context,
                |context| {
                    if main.drive(context) { Poll::Ready(()) } else { Poll::Pending }
                },
            );
        self.suspend(id, None, waker, context);
        let done = match polled {
            Ok(polled) => polled.is_ready(),
            Err(error) => {
                main.fail(error);
                true
            }
        };
        if done {
            // Another entry of this batch may name it: it is not polled again.
            self.look(id, |slot| slot.state = TaskState::Finished);
        }
        done
    }

    /// Polls in a task's name and context; a panic is an error of the task.
    fn poll(
        &self,
        id: TaskId,
        waker: &Waker,
        context: context::Context,
        drive: impl FnOnce(&mut Context<'_>) -> Poll<()>,
    ) -> (Result<Poll<()>, TaskError>, context::Context) {
        let current = Current { id, data: waker.data(), vtable: waker.vtable() };
        let before = self.current.replace(Some(current));
        let outer = context::enter(context);
        let began = self.slow_after.get().map(|limit| (limit, Instant::now()));
        let polled = catch_unwind(AssertUnwindSafe(|| drive(&mut Context::from_waker(waker))));
        let context = context::enter(outer);
        self.current.set(before);
        if let Some((limit, began)) = began {
            self.judge(id, limit, began.elapsed());
        }
        (polled.map_err(|payload| panicked(&*payload)), context)
    }

    /// Puts a task back that waits.
    #[inline]
    fn suspend(&self, id: TaskId, body: Option<Pin<Box<dyn Body>>>, waker: Waker, context: context::Context) {
        let noted = self.noted.take();
        let again = self.again.replace(false);
        self.look(id, |slot| {
            slot.body = body;
            slot.waker = Some(waker);
            slot.context = context;
            slot.state = TaskState::Suspended;
            slot.waits = if again { Waits::Turn } else { noted };
            // One that has cancelled itself may have nobody left to wake it.
            if (again || slot.cancelling) && !slot.queued {
                slot.queued = true;
                self.engine.borrow_mut().schedule(Entry::Task(id));
            }
        });
    }

    /// The task that runs has another turn, after all that is ready.
    pub(crate) fn run_again(&self) {
        self.again.set(true);
    }

    fn finish_cancelled(&self, id: TaskId, waker: Option<Waker>) {
        let message = self.look(id, |slot| slot.rare().message.clone()).flatten();
        let error = TaskError::Cancelled(Cancelled { message });
        self.finish(id, TaskState::Cancelled, None, Some(error), waker);
    }

    /// Ends a task: its place keeps the result for whoever holds it, and everybody is told.
    fn finish(
        &self,
        id: TaskId,
        state: TaskState,
        returned: Option<(Pin<Box<dyn Body>>, context::Context)>,
        error: Option<TaskError>,
        waker: Option<Waker>,
    ) {
        drop(self.noted.take());
        self.again.set(false);
        let mut tasks = self.tasks.borrow_mut();
        let Some(slot) = tasks.get_mut(id.place as usize) else { return };
        slot.state = state;
        let joiner = slot.joiner.take();
        let waker = waker.or_else(|| slot.waker.take());
        let bell = slot.bell.take();
        let (foreign, callbacks) = match &mut slot.rare {
            None => (None, Vec::new()),
            Some(rare) => (rare.joiner.take(), std::mem::take(&mut rare.callbacks)),
        };
        let (mut body, context) = returned.unzip();
        let mut removed = None;
        if slot.held {
            if let Some(error) = error {
                slot.rare().error = Some(error);
            }
            slot.body = body.take();
        } else {
            removed = Some(tasks.remove(id.place as usize));
        }
        drop(tasks);
        // Outside of the borrow: all that follows may run anybody's code.
        if let (Some(waker), Some(bell)) = (waker, bell) {
            self.keep_bell(waker, bell);
        }
        if let Some(body) = body {
            drop_in(context.unwrap_or_default(), body);
        }
        drop(removed);
        if let Some(joiner) = joiner {
            self.wake_task(joiner);
        }
        if let Some(foreign) = foreign {
            foreign.wake();
        }
        for callback in callbacks {
            contain(|| callback(state));
        }
    }

    /// Looks at a task that is not gone. The look must not run anybody's code.
    #[inline]
    pub(crate) fn look<T>(&self, id: TaskId, look: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut tasks = self.tasks.borrow_mut();
        tasks.get_mut(id.place as usize).filter(|slot| slot.serial == id.serial).map(look)
    }

    /// Puts a task into the queue, once.
    #[inline]
    pub(crate) fn wake_task(&self, id: TaskId) {
        let mut tasks = self.tasks.borrow_mut();
        if let Some(slot) = tasks.get_mut(id.place as usize)
            && slot.serial == id.serial
            && !slot.queued
        {
            slot.queued = true;
            self.engine.borrow_mut().schedule(Entry::Task(id));
        }
    }

    /// The task that runs.
    pub(crate) fn current(&self) -> Option<TaskId> {
        self.current.get().map(|current| current.id)
    }

    /// The task that polls with this context, if it does so itself.
    #[inline]
    pub(crate) fn polled_by(&self, context: &Context<'_>) -> Option<TaskId> {
        let current = self.current.get()?;
        let waker = context.waker();
        (waker.data() == current.data && ptr::eq(waker.vtable(), current.vtable)).then_some(current.id)
    }

    /// What the task that runs waits for, should it wait now.
    #[inline]
    pub(crate) fn note(&self, waits: Waits) {
        let before = self.noted.replace(waits);
        drop(before);
    }

    /// What it has noted last.
    pub(crate) fn noted(&self) -> Waits {
        let noted = self.noted.take();
        self.noted.set(noted.clone());
        noted
    }

    pub(crate) fn cancel_task(&self, id: TaskId, message: Option<String>) -> bool {
        let asked = self.look(id, |slot| {
            if slot.state.is_done() {
                return false;
            }
            slot.cancelling = true;
            if message.is_some() || slot.rare.is_some() {
                slot.rare().message = message;
            }
            true
        });
        let asked = asked == Some(true);
        if asked {
            self.wake_task(id);
        }
        asked
    }

    pub(crate) fn spawn_at<T: 'static>(
        self: &Rc<Self>,
        future: impl StdFuture<Output = T> + 'static,
        name: Option<String>,
        spawned_at: &'static Location<'static>,
    ) -> Task<T> {
        let body: Pin<Box<dyn Body>> = Box::pin(Stage::Running { future });
        let closed = self.closed.get();
        let (body, refused) = if closed { (None, Some(body)) } else { (Some(body), None) };
        let id = self.insert(body, name, spawned_at, true);
        let task = Task::new(Rc::clone(self), id);
        if closed {
            drop(refused);
            self.look(id, |slot| slot.rare().message = Some(CLOSED.to_owned()));
            self.finish_cancelled(id, None);
        } else {
            self.engine.borrow_mut().schedule(Entry::Task(id));
        }
        task
    }

    /// Gives a task its place; it counts as being in the queue.
    pub(crate) fn insert(
        &self,
        body: Option<Pin<Box<dyn Body>>>,
        name: Option<String>,
        spawned_at: &'static Location<'static>,
        held: bool,
    ) -> TaskId {
        let serial = NonZeroU32::new(self.next_serial()).unwrap_or(NonZeroU32::MIN);
        let mut tasks = self.tasks.borrow_mut();
        let vacant = tasks.vacant_entry();
        let place = u32::try_from(vacant.key())
            .expect("four thousand million tasks need more memory than a machine has");
        let id = TaskId { place, serial };
        let (waker, bell) = self.bell(id);
        vacant.insert(Slot {
            body,
            waker: Some(waker),
            bell: Some(bell),
            context: context::current(),
            joiner: None,
            rare: name.map(|name| Box::new(Rare { name: Some(name), ..Rare::default() })),
            waits: Waits::Turn,
            spawned_at,
            serial,
            state: TaskState::Created,
            queued: true,
            held,
            cancelling: false,
        });
        id
    }

    /// A waker for a task: one that was another's, if there is one.
    fn bell(&self, id: TaskId) -> (Waker, Arc<TaskWaker>) {
        if let Some((waker, bell)) = self.bells.borrow_mut().pop() {
            bell.reuse(id);
            return (waker, bell);
        }
        let bell = Arc::new(TaskWaker::new(id, Arc::clone(&self.door)));
        (Waker::from(Arc::clone(&bell)), bell)
    }

    /// Keeps the waker of a task that has ended for the next one, unless somebody else has it too.
    fn keep_bell(&self, waker: Waker, bell: Arc<TaskWaker>) {
        if Arc::strong_count(&bell) > 2 {
            return;
        }
        let mut bells = self.bells.borrow_mut();
        if bells.len() < BELLS_MAX {
            bells.push((waker, bell));
        }
    }

    /// Nobody holds a task's handle any more.
    pub(crate) fn let_go(&self, id: TaskId) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(slot) = tasks.get_mut(id.place as usize).filter(|slot| slot.serial == id.serial) else {
            return;
        };
        slot.held = false;
        if slot.state.is_done() {
            let slot = tasks.remove(id.place as usize);
            drop(tasks);
            contain(|| drop(slot));
        }
    }

    /// Gives a place free whatever it holds: the main future's, which nobody has a handle of.
    pub(crate) fn remove(&self, id: TaskId) {
        let mut tasks = self.tasks.borrow_mut();
        if tasks.get(id.place as usize).is_some_and(|slot| slot.serial == id.serial) {
            let slot = tasks.remove(id.place as usize);
            drop(tasks);
            drop(slot);
        }
    }

    fn call(&self, id: CallId) {
        if let Some(call) = self.forget(id) {
            let outer = context::enter(call.context);
            contain(call.callback);
            drop(context::enter(outer));
        }
    }

    pub(crate) fn keep(&self, callback: Callback) -> CallId {
        let serial = self.next_serial();
        let call = Call { serial, context: context::current(), callback };
        let place = self.calls.borrow_mut().insert(call);
        CallId { place: u32::try_from(place).unwrap_or(u32::MAX), serial }
    }

    fn forget(&self, id: CallId) -> Option<Call> {
        let mut calls = self.calls.borrow_mut();
        calls.get(id.place as usize).filter(|call| call.serial == id.serial)?;
        calls.try_remove(id.place as usize)
    }

    /// Takes a callback back, with its timer; whether it had not run.
    pub(crate) fn take_back(&self, id: CallId, timer: Option<TimerId>) -> bool {
        if let Some(timer) = timer {
            self.cancel_timer(timer);
        }
        let call = self.forget(id);
        call.is_some()
    }

    fn next_serial(&self) -> u32 {
        let next = self.serials.get().checked_add(1).unwrap_or(1);
        self.serials.set(next);
        next
    }

    pub(crate) fn now(&self) -> Time {
        self.engine.borrow().now()
    }

    pub(crate) fn schedule_at(&self, deadline: Time, entry: Entry) -> TimerId {
        self.engine.borrow_mut().schedule_at(deadline, entry)
    }

    pub(crate) fn cancel_timer(&self, timer: TimerId) {
        let entry = self.engine.borrow_mut().cancel(timer);
        drop(entry);
    }

    pub(crate) fn pool(&self) -> Rc<BlockingPool> {
        let mut pool = self.pool.borrow_mut();
        Rc::clone(pool.get_or_insert_with(|| Rc::new(BlockingPool::new(self.pool_limits.get()))))
    }

    pub(crate) fn limit_pool(&self, limits: PoolLimits) {
        self.pool_limits.set(limits);
    }

    pub(crate) fn is_simulated(&self) -> bool {
        self.engine.borrow().clock().simulated().is_some()
    }

    /// Whether nothing can ever happen again, although somebody waits; but for what has arrived meanwhile.
    fn is_stuck(&self) -> bool {
        let stuck = self.is_out_of_reach();
        // What a thread has sent before it let go of its handle or waker is seen from here on.
        fence(Ordering::Acquire);
        stuck
    }

    fn is_out_of_reach(&self) -> bool {
        if self.on_deadlock.get() == OnDeadlock::Wait
            || self.io_waiting.get() > 0
            || self.jobs.get() > 0
            || Arc::strong_count(&self.handles) > 1
            || !self.signals.borrow().is_empty()
            || !self.children.borrow().is_empty()
        {
            return false;
        }
        let tasks = self.tasks.borrow();
        let within_reach = |id: TaskId| {
            let slot = tasks.get(id.place as usize).filter(|slot| slot.serial == id.serial);
            slot.is_some_and(|slot| !slot.state.is_done() && !slot.is_out_of_reach())
        };
        if self.reachable.get().is_some_and(within_reach) {
            return false;
        }
        let mut waiting = tasks.iter().filter(|(_, slot)| !slot.state.is_done()).peekable();
        if waiting.peek().is_none() {
            // Nobody waits: it is a loop that runs for ever.
            return false;
        }
        let reachable = waiting.find(|(_, slot)| !slot.is_out_of_reach());
        self.reachable.set(reachable.map(|(place, slot)| task_id(place, slot)));
        reachable.is_none()
    }

    /// The tasks that are not done, by place.
    pub(crate) fn living(&self) -> impl Iterator<Item = TaskId> + use<> {
        let tasks = self.tasks.borrow();
        let living = tasks.iter().filter(|(_, slot)| !slot.state.is_done());
        let living: Vec<_> = living.map(|(place, slot)| task_id(place, slot)).collect();
        living.into_iter()
    }

    fn deadlock(&self) -> Deadlock {
        Deadlock { tasks: self.all_tasks() }
    }

    /// Drops everything, tasks first: their destructors may still look at the loop.
    pub(crate) fn close(&self) {
        if self.closed.replace(true) {
            return;
        }
        let left: Vec<TaskId> = self.living().collect();
        for id in left {
            // One at a time: a destructor may cancel another. What it spawns is refused.
            let taken = self.look(id, |slot| {
                slot.rare().message = Some(CLOSED.to_owned());
                (slot.body.take(), slot.context.take())
            });
            if let Some((body, context)) = taken {
                drop_in(context, body);
            }
            self.finish_cancelled(id, None);
        }
        let calls = self.calls.take();
        let sources = self.sources.take();
        let signals = self.signals.take();
        let children = self.children.take();
        let entries = self.engine.borrow_mut().close();
        drop((calls, sources, signals, children, entries));
        // asyncio: `shutdown_default_executor`. Dropping the pool waits for its threads.
        let pool = self.pool.take();
        drop(pool);
    }
}

/// At most this many wakers are kept: a burst of tasks then allocates none.
const BELLS_MAX: usize = 1024;

const CLOSED: &str = "the event loop is closed";

fn task_id(place: usize, slot: &Slot) -> TaskId {
    // `Inner::insert` has made sure that it fits.
    TaskId { place: u32::try_from(place).unwrap_or(u32::MAX), serial: slot.serial }
}

/// Drops what a task was made of, in its own context; a destructor's panic stays here.
fn drop_in<T>(context: context::Context, body: T) {
    let outer = context::enter(context);
    contain(move || drop(body));
    drop(context::enter(outer));
}

/// A panic of a callback or a destructor is the panic hook's to report, and ends nothing else.
pub(crate) fn contain(callback: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(callback)));
}
