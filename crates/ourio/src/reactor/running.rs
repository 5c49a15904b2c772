//! The reactor of the loop that runs in this thread: that of the [running scheduler](crate::scheduling::running).

use std::cell::RefCell;
use std::rc::Rc;

use super::reactor::Reactor;
use crate::scheduling::running::nothing_runs;

thread_local! {
    static RUNNING: RefCell<Option<Rc<Reactor>>> = const { RefCell::new(None) };
}

/// The reactor that runs in this thread.
///
/// # Panics
///
/// If there is none.
#[track_caller]
pub(crate) fn expect() -> Rc<Reactor> {
    // Destructors of a thread that ends may ask.
    match RUNNING.try_with(|running| running.borrow().clone()).ok().flatten() {
        Some(running) => running,
        None => nothing_runs(),
    }
}

/// The thread's running reactor, for as long as this lives. Entered by whoever has entered its scheduler.
pub(crate) struct Entered;

impl Entered {
    pub(crate) fn enter(reactor: &Rc<Reactor>) -> Self {
        RUNNING.set(Some(Rc::clone(reactor)));
        Self
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = RUNNING.take();
        drop(before);
    }
}
