//! The loop that runs in this thread.

use std::cell::RefCell;
use std::rc::Rc;

use crate::error::{Error, Result};
use crate::scheduling::Inner;

thread_local! {
    static RUNNING: RefCell<Option<Rc<Inner>>> = const { RefCell::new(None) };
}

/// Looks at the loop that runs in this thread, if one does. The look must not run anybody's code.
pub(crate) fn with<T>(look: impl FnOnce(&Rc<Inner>) -> T) -> Option<T> {
    // Destructors of a thread that ends may ask.
    RUNNING.try_with(|running| running.borrow().as_ref().map(look)).ok().flatten()
}

/// The loop that runs in this thread.
///
/// # Panics
///
/// If there is none; asyncio: "no running event loop".
#[track_caller]
pub(crate) fn expect() -> Rc<Inner> {
    match with(Rc::clone) {
        Some(running) => running,
        None => panic!("no running event loop"),
    }
}

/// The thread's running loop, for as long as this lives.
pub(crate) struct Entered;

impl Entered {
    pub(crate) fn enter(inner: &Rc<Inner>) -> Result<Self> {
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
