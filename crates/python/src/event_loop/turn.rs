//! Running the loop: turns, and what becomes of each entry. `docs/internals/turn.md` tells it in steps.
//!
//! The interpreter is left only around a wait that may sleep; a poll that returns at once is shorter than
//! leaving and coming back.

use std::time::Duration;

use ourio_engine::{Event, Events, Patience, Wait};
use pyo3::prelude::*;

use crate::boundary::errors;
use crate::boundary::garbage;
use crate::event_loop::class::Loop;
use crate::event_loop::{listeners, registering};
use crate::executor::lock_holder;
use crate::queue::entry::Entry;
use crate::queue::handle::Handle;
use crate::queue::observer::Occasion;

#[pymethods]
impl Loop {
    /// Runs turns until the loop is told to stop.
    fn _run(slf: &Bound<'_, Self>) -> PyResult<()> {
        let scheduler = slf.as_super().get();
        scheduler.engine().borrow_mut().begin_run();
        let outcome = loop {
            match turn(slf) {
                Ok(()) if !slf.get().is_stopping() => {}
                outcome => break outcome,
            }
        };
        scheduler.engine().borrow_mut().end_run();
        outcome
    }

    /// Runs one turn.
    fn _run_once(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.as_super().get().engine().borrow_mut().poll_soon();
        turn(slf)
    }

    /// Schedules a handle that was made elsewhere.
    fn _add_callback(slf: &Bound<'_, Self>, handle: Bound<'_, PyAny>) {
        let entry = match handle.cast_into::<Handle>() {
            Ok(handle) => Entry::Handle(handle.into()),
            Err(other) => Entry::Foreign(other.into_inner().into()),
        };
        slf.as_super().get().schedule(entry);
    }

    /// Schedules a handle from a signal handler of Python, and wakes the loop.
    fn _add_callback_signalsafe(slf: &Bound<'_, Self>, handle: Bound<'_, PyAny>) {
        Self::_add_callback(slf, handle);
        slf.as_super().get().remote().wake();
    }

    /// Sends what waits for the end of the turn.
    fn _send_waiting(slf: &Bound<'_, Self>) -> PyResult<()> {
        send_held(slf)
    }

    /// Wakes the loop from any thread.
    fn _write_to_self(slf: &Bound<'_, Self>) {
        slf.as_super().get().remote().wake();
    }

    /// asyncio's own timer handles count their cancellations here; ours are not in that heap.
    fn _timer_handle_cancelled(&self, _handle: &Bound<'_, PyAny>) {}
}

fn turn(slf: &Bound<'_, Loop>) -> PyResult<()> {
    let (py, this, scheduler) = (slf.py(), slf.get(), slf.as_super().get());
    if this.is_orphaned() {
        return Err(errors::orphaned());
    }
    let wait = {
        let mut engine = scheduler.engine().borrow_mut();
        let now = engine.turn_time();
        if engine.begin_without_poll(now) {
            drop(engine);
            return run_batch(slf);
        }
        let patience = if this.is_stopping() { Patience::Poll } else { Patience::Block };
        if patience == Patience::Block && this.asks_before_endless_sleep() && engine.is_out_of_work() {
            drop(engine);
            ask_before_endless_sleep(slf)?;
            engine = scheduler.engine().borrow_mut();
        }
        engine.prepare(now, patience)
    };
    let events = if wait.may_sleep() { sleep(slf, wait) } else { wait.block() };
    let events = events.map_err(|error| errors::engine(&error))?;
    {
        let mut engine = scheduler.engine().borrow_mut();
        let now = engine.now();
        engine.absorb(events, now);
    }
    // After absorbing, so that an exception of a signal handler (Ctrl-C) loses no event.
    py.check_signals()?;
    run_batch(slf)
}

/// Sleeps until something happens, without the interpreter's lock; or stays awake for a moment, if a job of the default
/// executor may be done by then.
fn sleep(slf: &Bound<'_, Loop>, wait: Wait) -> ourio_engine::Result<Events> {
    let py = slf.py();
    match slf.get().jobs() {
        None => py.detach(|| wait.block()),
        Some(jobs) => {
            let remote = slf.as_super().get().remote().clone();
            lock_holder::without_the_lock(py, || jobs.block(wait, &remote))
        }
    }
}

/// Nothing of the loop's own would end the sleep that comes: whoever looks for deadlocks is asked first.
#[cold]
fn ask_before_endless_sleep(slf: &Bound<'_, Loop>) -> PyResult<()> {
    let py = slf.py();
    match slf.get().before_endless_sleep(py) {
        Some(asked) => asked.call0(py).map(drop),
        None => Ok(()),
    }
}

/// For how long what is written may wait for the rest of the batch.
///
/// The writes of one turn leave together: a peer that sleeps is then woken once, and finds all of them. Measured with
/// 20 requests at a time of aiohttp's client: a sixth less CPU than with a send after each callback. A batch may be
/// long, though, and a callback slow, and asyncio sends at once.
const HELD_FOR_MAX: Duration = Duration::from_millis(1);

/// Runs what is in the batch. Signals are the interpreter's to look for while it runs Python code.
fn run_batch(slf: &Bound<'_, Loop>) -> PyResult<()> {
    let (held, scheduler) = (slf.get().held(), slf.as_super().get());
    let mut held_since = None;
    loop {
        // It stays where it is until it has run.
        let next = scheduler.engine().borrow_mut().next();
        let Some(entry) = &next else {
            return send_held(slf);
        };
        held.callback_begins();
        let outcome = if scheduler.instruments().are_any() {
            dispatch_observed(slf, entry)
        } else {
            dispatch(slf, entry)
        };
        drop(next);
        let something_waits = held.callback_ended();
        if outcome.is_err() {
            return outcome.and(send_held(slf));
        }
        if something_waits {
            let now = scheduler.engine().borrow().now();
            let since = *held_since.get_or_insert(now);
            if now.saturating_since(since) >= HELD_FOR_MAX {
                held_since = None;
                send_held(slf)?;
            }
        }
    }
}

/// What callbacks have written leaves now, in the order of the first writes.
///
/// Everybody is served, whatever a protocol raises meanwhile; the first exception that ends the loop is the result.
#[inline]
pub(crate) fn send_held(slf: &Bound<'_, Loop>) -> PyResult<()> {
    if slf.get().held().is_empty() { Ok(()) } else { send_all_held(slf) }
}

/// Apart, so that a turn without writes does not make room for it.
#[inline(never)]
fn send_all_held(slf: &Bound<'_, Loop>) -> PyResult<()> {
    let held = slf.get().held();
    let mut outcome = Ok(());
    while !held.is_empty() {
        let mut list = held.take();
        for waiting in list.drain(..) {
            outcome = outcome.and((waiting.send)(slf, waiting.object.bind(slf.py())));
        }
        held.reuse(list);
    }
    outcome
}

/// Runs an entry in debug mode, or while a flight recorder is on.
#[cold]
fn dispatch_observed(slf: &Bound<'_, Loop>, entry: &Entry) -> PyResult<()> {
    let scheduler = slf.as_super().get();
    let is_for_listeners = match entry {
        Entry::Event(Event::Io(event)) => registering::is_for_listeners(slf, event.token),
        _ => false,
    };
    let polls = scheduler.engine().borrow().polls();
    let begun = scheduler.instruments().begins(slf.py(), Occasion { entry, is_for_listeners }, polls);
    let outcome = if scheduler.is_debug() { dispatch_timed(slf, entry) } else { dispatch(slf, entry) };
    scheduler.instruments().ended(begun);
    outcome
}

/// In debug mode a transport's step is timed as a handle is: there is no handle of its own to do it.
fn dispatch_timed(slf: &Bound<'_, Loop>, entry: &Entry) -> PyResult<()> {
    let scheduler = slf.as_super().get();
    let transport = match entry {
        Entry::Step { object, .. } => Some(object.bind(slf.py()).clone()),
        Entry::Event(Event::Io(event)) => registering::owner(slf, event.token).map(|(owner, _)| owner),
        _ => None,
    };
    let Some(transport) = transport else { return dispatch(slf, entry) };
    let started = scheduler.engine().borrow().now();
    let outcome = dispatch(slf, entry);
    let took = scheduler.engine().borrow().now().saturating_since(started);
    slf.call_method1("_name_if_slow", (transport, took.as_secs_f64()))?;
    outcome
}

#[inline]
fn dispatch(slf: &Bound<'_, Loop>, entry: &Entry) -> PyResult<()> {
    let (py, scheduler) = (slf.py(), slf.as_super());
    match entry {
        Entry::Callback(callback) => callback.run(scheduler),
        Entry::Handle(handle) => {
            let handle = handle.bind(py);
            let outcome = Handle::run_by_loop(handle, scheduler);
            garbage::show(handle);
            outcome
        }
        Entry::ThreadSafe(handle) => {
            let (handle, this) = (handle.bind(py), scheduler.get());
            let guard = this.guard(handle.as_super().get().place());
            let outcome = Handle::run_by_loop(handle.as_super(), scheduler);
            let outcome = outcome.and(guard.leave(py, this.guarded()));
            garbage::show(handle);
            outcome
        }
        Entry::Foreign(handle) => {
            let handle = handle.bind(py);
            if handle.getattr("_cancelled")?.is_truthy()? {
                return Ok(());
            }
            handle.call_method0("_run")?;
            Ok(())
        }
        Entry::Step { object, context, run } => run(scheduler, object.bind(py), context),
        Entry::Event(Event::Io(event)) => listeners::deliver(slf, *event),
        Entry::Event(Event::Signal(number)) => {
            slf.call_method1("_handle_signal", (number,))?;
            Ok(())
        }
        // The Python face leaves children to asyncio's watchers, which watch pidfds as readers.
        Entry::Event(_) | Entry::Cancelled => Ok(()),
    }
}
