//! The scheduler that runs in this thread; and who wakes a task, which depends on it: in the loop's own thread the task
//! is put into the queue at once, from any other by way of the loop's door.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;

use super::scheduler::Scheduler;
use crate::table::{TaskId, TaskWaker};

thread_local! {
    static RUNNING: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

/// Looks at the scheduler that runs in this thread, if one does. The look must not run anybody's code.
pub(crate) fn with<T>(look: impl FnOnce(&Rc<Scheduler>) -> T) -> Option<T> {
    // Destructors of a thread that ends may ask.
    RUNNING.try_with(|running| running.borrow().as_ref().map(look)).ok().flatten()
}

/// The scheduler that runs in this thread.
///
/// # Panics
///
/// If there is none.
#[track_caller]
pub(crate) fn expect() -> Rc<Scheduler> {
    match with(Rc::clone) {
        Some(running) => running,
        None => nothing_runs(),
    }
}

/// The task that runs in this thread.
pub(crate) fn current_task() -> Option<TaskId> {
    with(|running| running.current.task()).flatten()
}

/// asyncio: "no running event loop".
#[track_caller]
pub(crate) fn nothing_runs() -> ! {
    panic!("no running event loop")
}

/// The thread's running scheduler, for as long as this lives.
pub(crate) struct Entered;

impl Entered {
    /// `None` if one runs already.
    pub(crate) fn enter(scheduler: &Rc<Scheduler>) -> Option<Self> {
        RUNNING.with_borrow_mut(|running| {
            if running.is_some() {
                return None;
            }
            *running = Some(Rc::clone(scheduler));
            Some(Self)
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = RUNNING.take();
        drop(before);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let here = with(|running| {
            let own = Arc::ptr_eq(&running.door, &self.door);
            if own {
                running.wake(self.id());
            }
            own
        });
        if here != Some(true) {
            self.send();
        }
    }
}
