//! The scheduler: commands to tasks, timers and callbacks, and the life of a task from its spawning to its end.
//!
//! What is the program's (a body, a callback, a waker) is run and dropped outside of every look at the table.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use ourio_engine::{Engine, Time, TimerId};

use super::callbacks::{Callback, Callbacks};
use super::current::Current;
use crate::context;
use crate::outcome::{Cancelled, TaskError, contain};
use crate::table::{Body, CallId, Door, Entry, TaskId, TaskState, TaskTable};

/// The tasks and callbacks of one loop, and the engine that they stand in.
pub(crate) struct Scheduler {
    pub(crate) door: Arc<Door>,
    /// One clone for each handle that another thread may hold.
    pub(crate) handles: Arc<()>,
    pub(crate) engine: RefCell<Engine<Entry>>,
    pub(crate) table: TaskTable,
    pub(crate) callbacks: Callbacks,
    pub(crate) current: Current,
    closed: Cell<bool>,
}

/// Why the tasks of a closed loop are cancelled.
const CLOSED: &str = "the event loop is closed";

impl Scheduler {
    pub(crate) fn new(engine: Engine<Entry>) -> Rc<Self> {
        Rc::new(Self {
            door: Arc::new(Door { remote: engine.remote() }),
            handles: Arc::new(()),
            engine: RefCell::new(engine),
            table: TaskTable::default(),
            callbacks: Callbacks::default(),
            current: Current::default(),
            closed: Cell::new(false),
        })
    }

    /// Puts a task into the table and the queue; a loop that is closed cancels it.
    pub(crate) fn spawn(
        &self,
        body: Pin<Box<dyn Body>>,
        name: Option<String>,
        spawned_at: &'static Location<'static>,
    ) -> TaskId {
        let closed = self.closed.get();
        let (body, refused) = if closed { (None, Some(body)) } else { (Some(body), None) };
        let id = self.table.insert(body, name, spawned_at, true, &self.door);
        if closed {
            drop(refused);
            self.table.look(id, |slot| slot.rare().message = Some(CLOSED.to_owned()));
            self.finish_cancelled(id, None);
        } else {
            self.engine.borrow_mut().schedule(Entry::Task(id));
        }
        id
    }

    /// Gives the future that a loop is run for its place: it has no body, as it need not be `'static`, and no handle.
    pub(crate) fn insert_main(&self, spawned_at: &'static Location<'static>) -> TaskId {
        let id = self.table.insert(None, None, spawned_at, false, &self.door);
        self.engine.borrow_mut().schedule(Entry::Task(id));
        id
    }

    /// Gives that place free, whatever it holds.
    pub(crate) fn remove_main(&self, id: TaskId) {
        let gone = self.table.take_if(id, |_| true);
        drop(gone);
    }

    /// Puts a task into the queue, once.
    #[inline]
    pub(crate) fn wake(&self, id: TaskId) {
        self.table.look(id, |slot| {
            if !slot.queued {
                slot.queued = true;
                self.engine.borrow_mut().schedule(Entry::Task(id));
            }
        });
    }

    /// Asks for a task to be dropped in its next turn; false if it is done.
    pub(crate) fn cancel(&self, id: TaskId, message: Option<String>) -> bool {
        let asked = self.table.look(id, |slot| {
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
            self.wake(id);
        }
        asked
    }

    pub(crate) fn finish_cancelled(&self, id: TaskId, waker: Option<Waker>) {
        let error = TaskError::Cancelled(self.cancellation(id));
        self.finish(id, TaskState::Cancelled, None, Some(error), waker);
    }

    /// With what a task is cancelled.
    pub(crate) fn cancellation(&self, id: TaskId) -> Cancelled {
        Cancelled { message: self.table.look(id, |slot| slot.rare().message.clone()).flatten() }
    }

    /// Ends a task: its place keeps the result for whoever holds it, and everybody is told.
    pub(crate) fn finish(
        &self,
        id: TaskId,
        state: TaskState,
        returned: Option<(Pin<Box<dyn Body>>, context::Context)>,
        error: Option<TaskError>,
        waker: Option<Waker>,
    ) {
        drop(self.current.take());
        let (mut body, context) = returned.unzip();
        let Some(mut slot) = self.table.slot(id) else { return };
        slot.state = state;
        let joiner = slot.joiner.take();
        let waker = waker.or_else(|| slot.waker.take());
        let task_waker = slot.task_waker.take();
        let (foreign, callbacks) = match &mut slot.rare {
            None => (None, Vec::new()),
            Some(rare) => (rare.joiner.take(), std::mem::take(&mut rare.callbacks)),
        };
        let held = slot.held;
        if held {
            if let Some(error) = error {
                slot.rare().error = Some(error);
            }
            slot.body = body.take();
        }
        drop(slot);
        let removed = if held { None } else { self.table.take_if(id, |_| true) };
        // Outside of the look: all that follows may run anybody's code.
        if let (Some(waker), Some(task_waker)) = (waker, task_waker) {
            self.table.keep_waker(waker, task_waker);
        }
        if let Some(body) = body {
            context::contain_in(context.unwrap_or_default(), || drop(body));
        }
        drop(removed);
        if let Some(joiner) = joiner {
            self.wake(joiner);
        }
        if let Some(foreign) = foreign {
            foreign.wake();
        }
        for callback in callbacks {
            contain(|| callback(state));
        }
    }

    /// Nobody holds a task's handle any more.
    pub(crate) fn let_go(&self, id: TaskId) {
        let over = self.table.take_if(id, |slot| {
            slot.held = false;
            slot.state.is_done()
        });
        if let Some(slot) = over {
            contain(|| drop(slot));
        }
    }

    /// Gives a callback its number.
    pub(super) fn keep(&self, callback: Callback) -> CallId {
        self.callbacks.keep(self.table.next_serial(), callback)
    }

    /// Takes a callback back, with its timer; whether it had not run.
    pub(super) fn take_back(&self, id: CallId, timer: Option<TimerId>) -> bool {
        if let Some(timer) = timer {
            self.cancel_timer(timer);
        }
        let call = self.callbacks.take(id);
        call.is_some()
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

    pub(crate) fn is_simulated(&self) -> bool {
        self.engine.borrow().clock().simulated().is_some()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Refuses new tasks from here on, and drops those that there are: their destructors may still look at the loop.
    /// False if it was closed before.
    pub(crate) fn close(&self) -> bool {
        if self.closed.replace(true) {
            return false;
        }
        let left: Vec<TaskId> = self.table.living().collect();
        for id in left {
            // One at a time: a destructor may cancel another. What it spawns is refused.
            let taken = self.table.look(id, |slot| {
                slot.rare().message = Some(CLOSED.to_owned());
                (slot.body.take(), slot.context.take())
            });
            if let Some((body, context)) = taken {
                context::contain_in(context, || drop(body));
            }
            self.finish_cancelled(id, None);
        }
        true
    }
}
