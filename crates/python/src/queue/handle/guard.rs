//! The callback that runs, as far as other threads may ask about it.
//!
//! asyncio: since 3.14 `cancelled()` and `cancel()` of a handle from `call_soon_threadsafe` do not answer in the middle of
//! the callback. Whoever asks from another thread waits for its end.

use std::cell::{Cell, RefCell};

use ourio_engine::Place;
use pyo3::prelude::*;

use crate::boundary::lock::thread_identifier;
use crate::boundary::object::Object;

/// Which callback runs in which thread, and who waits for its end.
#[derive(Debug, Default)]
pub(crate) struct GuardedCallback {
    place: Cell<Place>,
    /// The thread in which it runs; `None` if none does.
    runner: Cell<Option<u64>>,
    /// A `threading.Event` for those who wait for its end, made by the first.
    ended: RefCell<Option<Object>>,
}

impl GuardedCallback {
    /// The callback at a place begins to run.
    #[inline]
    pub(crate) fn enter(&self, place: Place, thread: Option<u64>) -> Guard {
        let runner = thread.unwrap_or_else(thread_identifier);
        Guard { before: (self.runner.replace(Some(runner)), self.place.replace(place)) }
    }

    /// Waits while the callback at a place runs in another thread.
    pub(crate) fn wait_until_ended(&self, py: Python<'_>, place: Place) -> PyResult<()> {
        let me = thread_identifier();
        let runs_elsewhere =
            || self.place.get() == place && self.runner.get().is_some_and(|runner| runner != me);
        while runs_elsewhere() {
            let existing = self.ended.borrow().as_ref().map(|ended| ended.bind(py).clone());
            let Some(ended) = existing else {
                let made = py.import("threading")?.getattr("Event")?.call0()?;
                // Other threads ran meanwhile: one of them may have made it too, or the callback has ended.
                if self.ended.borrow().is_none() && runs_elsewhere() {
                    self.ended.replace(Some(made.into()));
                }
                continue;
            };
            ended.call_method0("wait")?;
        }
        Ok(())
    }

    #[cold]
    fn tell(&self, py: Python<'_>) -> PyResult<()> {
        let ended = self.ended.take();
        ended.map_or(Ok(()), |ended| ended.bind(py).call_method0("set").map(drop))
    }
}

/// A callback that several threads may ask about is being called.
#[derive(Debug)]
pub(crate) struct Guard {
    /// What ran when it began: a callback may run the loop.
    before: (Option<u64>, Place),
}

impl Guard {
    #[inline]
    pub(crate) fn leave(self, py: Python<'_>, guarded: &GuardedCallback) -> PyResult<()> {
        guarded.runner.set(self.before.0);
        guarded.place.set(self.before.1);
        if guarded.ended.borrow().is_none() { Ok(()) } else { guarded.tell(py) }
    }
}
