//! A callback that waits in the ready queue without a handle.
//!
//! What C `_asyncio` schedules needs none at all. Other callers of `call_soon` and `call_soon_threadsafe` are given one,
//! and throw it away, as a rule. So it is not what waits: the queue holds the callback itself, and the handle, with
//! references of its own, knows its place there and takes it out when it is cancelled. A handle that is thrown away at
//! once leaves its memory to the next one, and the collector of garbage, which counts what is made and not what lives, has
//! nothing to count. A thread that schedules 100,000 callbacks in a row, of which thousands wait at a time, takes two
//! thirds of the time that it took with handles in the queue.
//!
//! In debug mode the handle itself waits: it knows where it was made.

use ourio_engine::Place;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::boundary::context;
use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::queue::callback::{Arguments, Callback};
use crate::queue::entry::Entry;
use crate::queue::handle::{Handle, Seat, ThreadSafeHandle};
use crate::queue::report::report;
use crate::queue::scheduler::Scheduler;

/// A callback in the ready queue.
#[derive(Debug)]
pub(crate) struct ReadyCallback {
    function: Object,
    /// The only argument, or a tuple of all.
    argument: Option<Object>,
    context: Object,
    place: Place,
    kind: Kind,
}

/// Who scheduled it, and how its argument is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// C `_asyncio`, which throws the handle away: there is none.
    Elided,
    /// A handle knows the place.
    OneArgument,
    /// The same; the argument is a tuple of all.
    Arguments,
    /// As `OneArgument`; several threads may hold the handle.
    Guarded,
    /// As `Arguments`; several threads may hold the handle.
    GuardedArguments,
}

impl ReadyCallback {
    /// A task's step, or a future's callback. A handle is made if it raises.
    #[inline]
    pub(crate) fn elided(function: Object, argument: Option<Object>, context: Object) -> Self {
        Self { function, argument, context, place: Place::default(), kind: Kind::Elided }
    }

    /// What a callback leaves in the queue, with references of its own; its place is not known yet.
    #[inline]
    fn new(py: Python<'_>, callback: &Callback, is_guarded: bool) -> PyResult<Self> {
        let (argument, is_tuple) = match &callback.arguments {
            Arguments::None => (None, false),
            Arguments::One(argument) => (Some(argument.clone_ref(py)), false),
            Arguments::Many(tuple) => (Some(tuple.clone_ref(py)), true),
            two @ Arguments::Two(..) => (Some(two.to_tuple(py)?.into()), true),
        };
        let context = match &callback.context {
            Some(context) => context.clone_ref(py),
            None => context::copy_current(py)?,
        };
        let kind = match (is_guarded, is_tuple) {
            (false, false) => Kind::OneArgument,
            (false, true) => Kind::Arguments,
            (true, false) => Kind::Guarded,
            (true, true) => Kind::GuardedArguments,
        };
        Ok(Self {
            function: callback.function.clone_ref(py),
            argument,
            context,
            place: Place::default(),
            kind,
        })
    }

    fn is_guarded(&self) -> bool {
        matches!(self.kind, Kind::Guarded | Kind::GuardedArguments)
    }

    /// Whether it is of C `_asyncio`.
    pub(crate) fn is_elided(&self) -> bool {
        self.kind == Kind::Elided
    }

    /// Puts it into the queue; its place there. Nothing else can come between the two.
    #[inline]
    fn enter(mut self, this: &Scheduler) -> Place {
        let mut engine = this.engine().borrow_mut();
        let place = engine.next_place();
        self.place = place;
        engine.schedule(Entry::Callback(self));
        place
    }

    pub(crate) fn function(&self) -> &Object {
        &self.function
    }

    /// The references that it holds, for the garbage collector.
    pub(crate) fn references(&self) -> [Option<&Object>; 3] {
        [Some(&self.function), self.argument.as_ref(), Some(&self.context)]
    }

    /// Runs it in its context.
    #[expect(
        clippy::inline_always,
        reason = "it has one caller, which runs per callback: a call less, counted"
    )]
    #[inline(always)]
    fn call(&self, py: Python<'_>) -> PyResult<()> {
        context::run_in(py, &self.context, || match &self.argument {
            None => self.function.call0(py),
            Some(tuple) if matches!(self.kind, Kind::Arguments | Kind::GuardedArguments) => {
                self.call_with(py, tuple)
            }
            Some(argument) => self.function.call1(py, argument),
        })?;
        Ok(())
    }

    /// Apart, as the others would else not be inlined.
    #[inline(never)]
    fn call_with(&self, py: Python<'_>, arguments: &Object) -> PyResult<Object> {
        self.function.call(py, arguments.bind(py).cast::<PyTuple>()?)
    }

    /// Runs it, and reports what it raises.
    #[inline]
    pub(crate) fn run(&self, slf: &Bound<'_, Scheduler>) -> PyResult<()> {
        let py = slf.py();
        let guard = if self.is_guarded() { Some(slf.get().guard(self.place)) } else { None };
        let outcome = self.call(py);
        let outcome = match guard {
            None => outcome,
            Some(guard) => outcome.and(guard.leave(py, slf.get().guarded())),
        };
        let Err(error) = outcome else { return Ok(()) };
        self.report(slf, error)
    }

    #[cold]
    fn report(&self, slf: &Bound<'_, Scheduler>, error: PyErr) -> PyResult<()> {
        report(slf, &self.handle(slf)?, error)
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            function: self.function.clone_ref(py),
            argument: self.argument.as_ref().map(|argument| argument.clone_ref(py)),
            context: self.context.clone_ref(py),
            ..*self
        }
    }

    /// A handle for it, as good as the one that was returned, or the one that there is not.
    #[cold]
    pub(crate) fn handle<'py>(&self, slf: &Bound<'py, Scheduler>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let arguments = match (&self.argument, self.kind) {
            (None, _) => Arguments::None,
            (Some(tuple), Kind::Arguments | Kind::GuardedArguments) => Arguments::Many(tuple.clone_ref(py)),
            (Some(argument), _) => Arguments::One(argument.clone_ref(py)),
        };
        let (function, context) = (self.function.clone_ref(py), Some(self.context.clone_ref(py)));
        let handle = Handle::new(slf, Callback { function, arguments, context }, None);
        if !self.is_elided() {
            handle.take_seat(Seat::CallbackReady(self.place));
        }
        Ok(if self.is_guarded() {
            Bound::new(py, ThreadSafeHandle::over(handle))?.into_any()
        } else {
            Bound::new(py, handle)?.into_any()
        })
    }
}

/// Puts a callback into the ready queue; the handle for it.
#[inline]
pub(crate) fn schedule(slf: &Bound<'_, Scheduler>, callback: Callback) -> PyResult<Object> {
    let py = slf.py();
    let waiting = ReadyCallback::new(py, &callback, false)?;
    let handle = Bound::new(py, Handle::new(slf, callback, None))?;
    handle.get().take_seat(Seat::CallbackReady(waiting.enter(slf.get())));
    Ok(handle.into())
}

/// The same, for other threads.
pub(crate) fn schedule_from_thread(slf: &Bound<'_, Scheduler>, callback: Callback) -> PyResult<Object> {
    if names()?.thread_safe_handle.is_none() {
        return schedule(slf, callback);
    }
    let py = slf.py();
    let waiting = ReadyCallback::new(py, &callback, true)?;
    let handle = Bound::new(py, ThreadSafeHandle::over(Handle::new(slf, callback, None)))?;
    handle.as_super().get().take_seat(Seat::CallbackReady(waiting.enter(slf.get())));
    Ok(handle.into())
}

/// Takes what waits at a place out of the queue; it comes back to be dropped when nothing is borrowed.
pub(crate) fn take_out(this: &Scheduler, place: Place) -> Option<Entry> {
    let mut engine = this.engine().borrow_mut();
    let is_it = |entry: &Entry| matches!(entry, Entry::Callback(callback) if callback.place == place && !callback.is_elided());
    engine.entry_at(place, is_it).map(|entry| std::mem::replace(entry, Entry::Cancelled))
}
