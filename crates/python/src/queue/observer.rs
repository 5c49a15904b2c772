//! Who looks at the callbacks while they run: debug mode, the registry of tasks, a recorder.
//!
//! What runs per callback asks one question, [`Instruments::are_any`]. The rest is asked where that is so.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;

use pyo3::prelude::*;

use crate::boundary::object::Object;
use crate::queue::entry::Entry;

/// Is told what a loop runs, on the loop's thread. Told of nothing while it is busy with something else.
pub(crate) trait Observer: Any + fmt::Debug {
    /// An entry is about to run; `polls` is how often the kernel has been asked. Another may begin within it.
    fn begins(&mut self, py: Python<'_>, occasion: Occasion<'_>, polls: u64);

    /// The entry that began last has run; it may have begun before this observer was there.
    fn ended(&mut self);

    /// A function of `_asyncio`'s is scheduled, which may be a task's.
    fn scheduled(&mut self, py: Python<'_>, function: &Object);

    /// A task is about to be made, or was: what is scheduled for it first tells which it is.
    fn creates(&mut self, begins: bool);
}

/// What is about to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occasion<'a> {
    pub(crate) entry: &'a Entry,
    /// Of an event of a descriptor: whether readers or writers are told of it, and not a transport.
    pub(crate) is_for_listeners: bool,
}

/// The observer is in the middle of something: its thread has lost the interpreter's lock there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IsBusy;

/// Whether an observer was told that an entry begins; it then is told of the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WasTold(bool);

/// Debug mode, the registry of tasks and the observer of one loop.
#[derive(Debug, Default)]
pub(crate) struct Instruments {
    debug: Cell<bool>,
    /// Whether each task is noted in the loop's registry.
    tracks_tasks: Cell<bool>,
    observer: RefCell<Option<Box<dyn Observer>>>,
    /// Whether any of the three is there; set by `update` alone.
    any: Cell<bool>,
}

impl Instruments {
    #[inline]
    pub(crate) fn is_debug(&self) -> bool {
        self.debug.get()
    }

    pub(crate) fn set_debug(&self, enabled: bool) {
        self.debug.set(enabled);
        self.update();
    }

    #[inline]
    pub(crate) fn tracks_tasks(&self) -> bool {
        self.tracks_tasks.get()
    }

    pub(crate) fn set_tracks_tasks(&self, enabled: bool) {
        self.tracks_tasks.set(enabled);
        self.update();
    }

    /// Whether callbacks are timed or observed, or tasks noted.
    #[inline]
    pub(crate) fn are_any(&self) -> bool {
        self.any.get()
    }

    /// Puts an observer in the place of the one before, which comes back; unless that is busy.
    pub(crate) fn replace(
        &self,
        observer: &mut Option<Box<dyn Observer>>,
    ) -> Result<Option<Box<dyn Observer>>, IsBusy> {
        let before =
            std::mem::replace(&mut *self.observer.try_borrow_mut().map_err(|_| IsBusy)?, observer.take());
        self.update();
        Ok(before)
    }

    /// Has the observer do something, if it is of a type; unless it is busy.
    pub(crate) fn with<O: Observer, T>(&self, body: impl FnOnce(&mut O) -> T) -> Result<Option<T>, IsBusy> {
        let mut observer = self.observer.try_borrow_mut().map_err(|_| IsBusy)?;
        let observer: Option<&mut dyn Any> = observer.as_deref_mut().map(|observer| observer as &mut dyn Any);
        Ok(observer.and_then(|observer| observer.downcast_mut::<O>()).map(body))
    }

    fn update(&self) {
        let is_observed = self.observer.try_borrow().map_or(true, |observer| observer.is_some());
        self.any.set(self.debug.get() || self.tracks_tasks.get() || is_observed);
    }

    /// Tells the observer, if there is one that is not busy.
    fn tell<T>(&self, body: impl FnOnce(&mut dyn Observer) -> T) -> Option<T> {
        let mut observer = self.observer.try_borrow_mut().ok()?;
        Some(body(observer.as_deref_mut()?))
    }

    // None of these is inlined: where nothing is observed, a turn must not even make room for it.

    #[cold]
    #[inline(never)]
    pub(crate) fn begins(&self, py: Python<'_>, occasion: Occasion<'_>, polls: u64) -> WasTold {
        WasTold(self.tell(|observer| observer.begins(py, occasion, polls)).is_some())
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn ended(&self, WasTold(was_told): WasTold) {
        if was_told {
            self.tell(Observer::ended);
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn scheduled(&self, py: Python<'_>, function: &Object) {
        self.tell(|observer| observer.scheduled(py, function));
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn creates(&self, begins: bool) {
        self.tell(|observer| observer.creates(begins));
    }
}
