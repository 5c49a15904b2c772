//! The driver: a loop's turn, and a task's step. What the engine hands out becomes steps of tasks and calls of callbacks.
//!
//! What a descriptor or a timer reports for a task drives that task on the spot, in the place of the report in the
//! queue; a task that is woken by another waits for the next turn, as asyncio's futures have it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ourio_engine::{Engine, Patience};

use crate::context;
use crate::error::{Error, Result};
use crate::insight::{Deadlock, DeadlockDetector, Timing};
use crate::outcome::{TaskError, contain};
use crate::reactor::Reactor;
use crate::scheduling::Scheduler;
use crate::table::{Body, Entry, TaskId, TaskState, Waits};

/// The future that a loop was started with: it need not be `'static`, so it is not in the table.
pub(super) trait Main {
    /// Whether it is done.
    fn drive(&mut self, context: &mut Context<'_>) -> bool;
    /// It gives no result.
    fn fail(&mut self, error: TaskError);
}

/// What a loop is made of, and what turns it.
pub(super) struct Driver {
    pub(super) scheduler: Rc<Scheduler>,
    pub(super) reactor: Rc<Reactor>,
    pub(super) stopping: Cell<bool>,
    pub(super) timing: Timing,
    pub(super) deadlocks: DeadlockDetector,
}

impl Driver {
    pub(super) fn new(engine: Engine<Entry>) -> Self {
        let scheduler = Scheduler::new(engine);
        Self {
            reactor: Reactor::new(&scheduler),
            scheduler,
            stopping: Cell::new(false),
            timing: Timing::default(),
            deadlocks: DeadlockDetector::default(),
        }
    }

    /// Turns until the main future is done, or somebody asks to stop.
    pub(super) fn drive(&self, mut main: Option<&mut dyn Main>) -> Result<()> {
        self.scheduler.engine.borrow_mut().begin_run();
        let outcome = loop {
            match self.turn(&mut main) {
                Ok(true) => break Ok(()),
                Ok(false) if self.stopping.get() => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error),
            }
        };
        self.scheduler.engine.borrow_mut().end_run();
        self.stopping.set(false);
        outcome
    }

    /// One turn; whether the main future is done.
    fn turn(&self, main: &mut Option<&mut dyn Main>) -> Result<bool> {
        let scheduler = &*self.scheduler;
        let wait = {
            let mut engine = scheduler.engine.borrow_mut();
            let now = engine.turn_time();
            if engine.begin_without_poll(now) {
                None
            } else if self.stopping.get() {
                Some(engine.prepare(now, Patience::Poll))
            } else {
                // Twice: a thread that had a handle may have sent something, and then let go of the handle.
                if !engine.has_work() && self.is_stuck() && !engine.has_work() {
                    return Err(Error::Deadlock(Deadlock::of(scheduler)));
                }
                Some(engine.prepare(now, Patience::Block))
            }
        };
        if let Some(wait) = wait {
            let events = self.reactor.jobs.block(wait, &scheduler.door.remote)?;
            let mut engine = scheduler.engine.borrow_mut();
            let now = engine.now();
            engine.absorb(events, now);
        }
        let mut done = false;
        loop {
            let entry = scheduler.engine.borrow_mut().next();
            match entry {
                None => return Ok(done),
                Some(Entry::Task(id)) => done |= self.step(scheduler, id, main),
                Some(Entry::Due(id)) => done |= self.step_unless_queued(scheduler, id, main),
                Some(Entry::Woken(waker)) => {
                    waker.arrived();
                    done |= self.step_unless_queued(scheduler, waker.id(), main);
                }
                Some(Entry::Cancel(asked)) => {
                    scheduler.cancel(asked.0, asked.1);
                }
                Some(Entry::Wake(waker)) => waker.wake(),
                Some(Entry::Call(id)) => scheduler.callbacks.call(id),
                Some(Entry::Remote(call)) => contain(call.0),
                Some(Entry::Job(waker)) => {
                    self.reactor.jobs.end();
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
                Some(Entry::Io(event)) => {
                    for id in self.reactor.descriptors.deliver(event).into_iter().flatten() {
                        done |= self.step_unless_queued(scheduler, id, main);
                    }
                }
                Some(Entry::Signal(number)) => self.reactor.signals.deliver(number),
                Some(Entry::Child(ended)) => self.reactor.children.deliver(ended.0, ended.1),
            }
        }
    }

    fn is_stuck(&self) -> bool {
        self.deadlocks.is_stuck(&self.scheduler, || self.reactor.is_awaited())
    }

    /// Drives a task that has not been put into the queue since: it would run twice.
    fn step_unless_queued(
        &self,
        scheduler: &Scheduler,
        id: TaskId,
        main: &mut Option<&mut dyn Main>,
    ) -> bool {
        let queued = scheduler.table.look(id, |slot| slot.queued);
        queued == Some(false) && self.step(scheduler, id, main)
    }

    /// Drives a task one step; whether it was the main future, which is done.
    ///
    /// The scheduler is handed on, as it is what every line needs: it is found once a turn, not at each.
    fn step(&self, scheduler: &Scheduler, id: TaskId, main: &mut Option<&mut dyn Main>) -> bool {
        let Some(mut slot) = scheduler.table.slot(id) else { return false };
        slot.queued = false;
        if slot.state.is_done() {
            return false;
        }
        let body = slot.body.take();
        let Some(waker) = slot.waker.take() else { return false };
        let (context, cancelling) = (slot.context.take(), slot.cancelling);
        slot.state = TaskState::Running;
        // Before anybody's code runs.
        drop(slot);
        let Some(mut body) = body else {
            return self.step_main(scheduler, id, waker, context, cancelling, main);
        };
        if cancelling {
            context::contain_in(context, || drop(body));
            scheduler.finish_cancelled(id, Some(waker));
            return false;
        }
        let (polled, context) =
            self.poll(scheduler, id, &waker, context, |context| body.as_mut().drive(context));
        match polled {
            Ok(Poll::Pending) => suspend(scheduler, id, Some(body), waker, context),
            Ok(Poll::Ready(())) => {
                scheduler.finish(id, TaskState::Finished, Some((body, context)), None, Some(waker));
            }
            Err(error) => {
                context::contain_in(context, || drop(body));
                scheduler.finish(id, TaskState::Panicked, None, Some(error), Some(waker));
            }
        }
        false
    }

    fn step_main(
        &self,
        scheduler: &Scheduler,
        id: TaskId,
        waker: Waker,
        context: context::Context,
        cancelling: bool,
        main: &mut Option<&mut dyn Main>,
    ) -> bool {
        let Some(main) = main else {
            // A future that was stopped: it is not run any more.
            suspend(scheduler, id, None, waker, context);
            return false;
        };
        if cancelling {
            main.fail(TaskError::Cancelled(scheduler.cancellation(id)));
            return true;
        }
        let (polled, context) = self.poll(scheduler, id, &waker, context, |context| {
            if main.drive(context) { Poll::Ready(()) } else { Poll::Pending }
        });
        suspend(scheduler, id, None, waker, context);
        let done = match polled {
            Ok(polled) => polled.is_ready(),
            Err(error) => {
                main.fail(error);
                true
            }
        };
        if done {
            // Another entry of this batch may name it: it is not polled again.
            scheduler.table.look(id, |slot| slot.state = TaskState::Finished);
        }
        done
    }

    /// Polls in a task's name and context; a panic is an error of the task.
    fn poll(
        &self,
        scheduler: &Scheduler,
        id: TaskId,
        waker: &Waker,
        context: context::Context,
        drive: impl FnOnce(&mut Context<'_>) -> Poll<()>,
    ) -> (Result<Poll<()>, TaskError>, context::Context) {
        let current = &scheduler.current;
        let before = current.enter(id, waker);
        let outer = context::enter(context);
        let begun = self.timing.begin();
        let polled = catch_unwind(AssertUnwindSafe(|| drive(&mut Context::from_waker(waker))));
        let context = context::enter(outer);
        current.leave(before);
        self.timing.end(scheduler, id, begun);
        (polled.map_err(|payload| TaskError::panicked(&*payload)), context)
    }

    /// Drops everything, tasks first: their destructors may still look at the loop.
    pub(super) fn close(&self) {
        if !self.scheduler.close() {
            return;
        }
        let callbacks = self.scheduler.callbacks.take_all();
        let waiting = self.reactor.take_all();
        let entries = self.scheduler.engine.borrow_mut().close();
        drop((callbacks, waiting, entries));
        // asyncio: `shutdown_default_executor`. Dropping the pool waits for its threads.
        let pool = self.reactor.jobs.take_pool();
        drop(pool);
    }
}

/// Puts a task back that waits.
#[inline]
fn suspend(
    scheduler: &Scheduler,
    id: TaskId,
    body: Option<Pin<Box<dyn Body>>>,
    waker: Waker,
    context: context::Context,
) {
    let (noted, again) = scheduler.current.take();
    let Some(mut slot) = scheduler.table.slot(id) else { return };
    slot.body = body;
    slot.waker = Some(waker);
    slot.context = context;
    slot.state = TaskState::Suspended;
    slot.waits = if again { Waits::Turn } else { noted };
    // One that has cancelled itself may have nobody left to wake it.
    if (again || slot.cancelling) && !slot.queued {
        slot.queued = true;
        scheduler.engine.borrow_mut().schedule(Entry::Task(id));
    }
}
