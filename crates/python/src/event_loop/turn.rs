//! Running the loop: turns, and what becomes of each entry. `docs/internals/turn.md` tells it in steps.
//!
//! The interpreter is left only around a wait that may sleep; a poll that returns at once is shorter than
//! leaving and coming back.

use std::time::Duration;

use ourio_engine::{Event, Events, Patience, Wait};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::boundary::errors;
use crate::boundary::garbage;
use crate::datagram::outgoing::send_held;
use crate::event_loop::class::Loop;
use crate::event_loop::registrations::{self, Watcher};
use crate::executor::lock_holder;
use crate::executor::work_queue::WorkQueue;
use crate::queue::entry::Entry;
use crate::queue::handle::Handle;
use crate::queue::ready_callback::{Guard, Posted};

#[pymethods]
impl Loop {
    /// Runs turns until the loop is told to stop.
    fn _run(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().engine().borrow_mut().begin_run();
        let outcome = loop {
            match turn(slf) {
                Ok(()) if !slf.get().is_stopping() => {}
                outcome => break outcome,
            }
        };
        slf.get().engine().borrow_mut().end_run();
        outcome
    }

    /// Tells the loop what its default executor's threads take their jobs from.
    fn _watch_jobs(&self, queue: &Bound<'_, WorkQueue>) {
        self.jobs().replace(Some(queue.get().jobs()));
    }

    /// Runs one turn.
    fn _run_once(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().engine().borrow_mut().poll_soon();
        turn(slf)
    }

    /// Schedules a handle that was made elsewhere.
    fn _add_callback(&self, handle: Bound<'_, PyAny>) {
        let entry = match handle.cast_into::<Handle>() {
            Ok(handle) => Entry::Handle(handle.into()),
            Err(other) => Entry::Foreign(other.into_inner().into()),
        };
        self.schedule(entry);
    }

    /// Schedules a handle from a signal handler of Python, and wakes the loop.
    fn _add_callback_signalsafe(&self, handle: Bound<'_, PyAny>) {
        self._add_callback(handle);
        self.remote().wake();
    }

    /// Sends what waits for the end of the turn.
    fn _send_waiting(slf: &Bound<'_, Self>) -> PyResult<()> {
        send_waiting(slf)
    }

    /// Wakes the loop from any thread.
    fn _write_to_self(&self) {
        self.remote().wake();
    }

    /// asyncio's own timer handles count their cancellations here; ours are not in that heap.
    fn _timer_handle_cancelled(&self, _handle: &Bound<'_, PyAny>) {}
}

fn turn(slf: &Bound<'_, Loop>) -> PyResult<()> {
    let (py, this) = (slf.py(), slf.get());
    if this.is_orphaned() {
        return Err(errors::orphaned());
    }
    let wait = {
        let mut engine = this.engine().borrow_mut();
        let now = engine.turn_time();
        if engine.begin_without_poll(now) {
            drop(engine);
            return run_batch(slf);
        }
        let patience = if this.is_stopping() { Patience::Poll } else { Patience::Block };
        if patience == Patience::Block && this.asks_before_endless_sleep() && engine.is_out_of_work() {
            drop(engine);
            ask_before_endless_sleep(slf)?;
            engine = this.engine().borrow_mut();
        }
        engine.prepare(now, patience)
    };
    let events = if wait.may_sleep() { sleep(slf, wait) } else { wait.block() };
    let events = events.map_err(|error| errors::engine(&error))?;
    {
        let mut engine = this.engine().borrow_mut();
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
    let (py, this) = (slf.py(), slf.get());
    let jobs = this.jobs().borrow().clone();
    match jobs {
        None => py.detach(|| wait.block()),
        Some(jobs) => {
            let remote = this.remote().clone();
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

/// How long what is written may wait for the rest of the batch.
///
/// The writes of one turn leave together: a peer that sleeps is then woken once, and finds all of them. Measured with
/// 20 requests at a time of aiohttp's client: a sixth less CPU than with a send after each callback. A batch may be
/// long, though, and a callback slow, and asyncio sends at once.
const HELD_MAX: Duration = Duration::from_millis(1);

/// Runs what is in the batch. Signals are the interpreter's to look for while it runs Python code.
fn run_batch(slf: &Bound<'_, Loop>) -> PyResult<()> {
    let this = slf.get();
    let mut held_since = None;
    loop {
        // It stays where it is until it has run.
        let next = this.engine().borrow_mut().next();
        let Some(entry) = &next else {
            return send_waiting(slf);
        };
        this.dispatching().set(true);
        this.callbacks().set(this.callbacks().get() + 1);
        let outcome =
            if this.is_instrumented() { dispatch_instrumented(slf, entry) } else { dispatch(slf, entry) };
        drop(next);
        this.dispatching().set(false);
        if outcome.is_err() {
            return outcome.and(send_waiting(slf));
        }
        if this.holds().get() {
            let now = this.engine().borrow().now();
            let since = *held_since.get_or_insert(now);
            if now.saturating_since(since) >= HELD_MAX {
                held_since = None;
                send_waiting(slf)?;
            }
        }
    }
}

/// What callbacks have sent leaves now.
#[inline]
pub(crate) fn send_waiting(slf: &Bound<'_, Loop>) -> PyResult<()> {
    let mut outcome = Ok(());
    while slf.get().holds().replace(false) {
        outcome = outcome.and(flush_corked(slf)).and(send_held(slf));
    }
    outcome
}

/// What callbacks have written leaves now, in one system call per transport, in the order of the first writes.
///
/// Every transport is served, whatever a protocol raises meanwhile; the first exception is the result.
fn flush_corked(slf: &Bound<'_, Loop>) -> PyResult<()> {
    let corked = slf.get().corked();
    let mut outcome = Ok(());
    while !corked.borrow().is_empty() {
        let mut batch = corked.take();
        for transport in batch.drain(..) {
            let transport = transport.bind(slf.py());
            let sent = transport.get().uncork(transport);
            outcome = outcome.and(sent.or_else(|error| report_transport(slf, transport, error)));
        }
        // Its memory serves the next turn.
        let mut next = corked.borrow_mut();
        if next.is_empty() {
            *next = batch;
        }
    }
    outcome
}

/// Runs an entry in debug mode, or while a flight recorder is on.
#[cold]
fn dispatch_instrumented(slf: &Bound<'_, Loop>, entry: &Entry) -> PyResult<()> {
    let this = slf.get();
    let begun = this.record(slf.py(), entry);
    let outcome = if this.is_debug() { dispatch_timed(slf, entry) } else { dispatch(slf, entry) };
    this.recorded(begun);
    outcome
}

/// In debug mode a transport's step is timed as a handle is: there is no handle of its own to do it.
fn dispatch_timed(slf: &Bound<'_, Loop>, entry: &Entry) -> PyResult<()> {
    let py = slf.py();
    let transport = match entry {
        Entry::Transport { transport, .. } => Some(transport.bind(py).clone()),
        Entry::Event(Event::Io(event)) => match slf.get().watchers().borrow().get(event.token) {
            Some(Watcher::Transport(transport)) => Some(transport.bind(py).clone()),
            _ => None,
        },
        _ => None,
    };
    let Some(transport) = transport else { return dispatch(slf, entry) };
    let started = slf.get().engine().borrow().now();
    let outcome = dispatch(slf, entry);
    let took = slf.get().engine().borrow().now().saturating_since(started);
    slf.call_method1("_name_if_slow", (transport, took.as_secs_f64()))?;
    outcome
}

#[inline]
fn dispatch(slf: &Bound<'_, Loop>, entry: &Entry) -> PyResult<()> {
    let py = slf.py();
    match entry {
        Entry::Posted(posted) => posted.run(slf),
        Entry::Handle(handle) => {
            let handle = handle.bind(py);
            let outcome = run_handle(slf, handle);
            garbage::show(handle);
            outcome
        }
        Entry::ThreadSafe(handle) => {
            let handle = handle.bind(py);
            let guard = Guard::enter(slf.get(), handle.as_super().get().place());
            let outcome = run_handle(slf, handle.as_super());
            let outcome = outcome.and(guard.leave(slf));
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
        Entry::Transport { transport, context, step } => {
            let transport = transport.bind(py);
            let outcome = transport.get().handle_step(transport, slf, context, *step);
            outcome.or_else(|error| report_transport(slf, transport, error))
        }
        Entry::Event(Event::Io(event)) => registrations::deliver(slf, *event),
        Entry::Event(Event::Signal(number)) => {
            slf.call_method1("_handle_signal", (number,))?;
            Ok(())
        }
        // The Python face leaves children to asyncio's watchers, which watch pidfds as readers.
        Entry::Event(_) | Entry::Cancelled => Ok(()),
    }
}

/// Runs a handle, timed in debug mode, and reports what it raises.
pub(crate) fn run_handle(slf: &Bound<'_, Loop>, handle: &Bound<'_, Handle>) -> PyResult<()> {
    if handle.get().is_cancelled() {
        return Ok(());
    }
    if slf.get().is_debug() {
        slf.call_method1("_run_timed", (handle,))?;
        return Ok(());
    }
    match handle.get().run(slf.py()) {
        Ok(()) => Ok(()),
        Err(error) => report(slf, handle.as_any(), error),
    }
}

/// asyncio: `Handle._run` lets SystemExit and KeyboardInterrupt through and reports everything else.
pub(crate) fn report(slf: &Bound<'_, Loop>, handle: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = slf.py();
    if errors::ends_the_loop(py, &error) {
        return Err(error);
    }
    slf.call_method1("_callback_failed", (handle, error.into_value(py)))?;
    Ok(())
}

/// What a transport could not do is reported, as a failing callback is, and the loop lives.
pub(crate) fn report_transport(
    slf: &Bound<'_, Loop>,
    transport: &Bound<'_, PyAny>,
    error: PyErr,
) -> PyResult<()> {
    let py = slf.py();
    if errors::ends_the_loop(py, &error) {
        return Err(error);
    }
    let context = PyDict::new(py);
    context.set_item("message", format!("Exception in callback of {}", transport.repr()?))?;
    context.set_item("exception", error.into_value(py))?;
    context.set_item("transport", transport)?;
    call_exception_handler(slf, &context)
}

/// Hands a context to the loop's exception handler.
pub(crate) fn call_exception_handler(slf: &Bound<'_, Loop>, context: &Bound<'_, PyDict>) -> PyResult<()> {
    slf.call_method1("call_exception_handler", (context,))?;
    Ok(())
}

/// The handles of the timers that wait.
pub(crate) fn waiting_handles<'py>(slf: &Bound<'py, Loop>) -> Vec<Bound<'py, PyAny>> {
    let py = slf.py();
    let engine = slf.get().engine().borrow();
    let handles = engine.waiting_entries().filter_map(|entry| match entry {
        Entry::Handle(handle) => Some(handle.bind(py).clone().into_any()),
        _ => None,
    });
    handles.collect()
}

/// What is ready, each as a handle.
pub(crate) fn ready_handles<'py>(slf: &Bound<'py, Loop>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = slf.py();
    // Handles are made when nothing is borrowed.
    let waiting: Vec<_> =
        slf.get().engine().borrow().ready_entries().filter_map(|entry| waiting(py, entry)).collect();
    let handle = |waiting| match waiting {
        Waiting::Handle(handle) => Ok(handle),
        Waiting::Posted(posted) => posted.handle(slf),
    };
    waiting.into_iter().map(handle).collect()
}

/// What is ready.
enum Waiting<'py> {
    Handle(Bound<'py, PyAny>),
    Posted(Posted),
}

fn waiting<'py>(py: Python<'py>, entry: &Entry) -> Option<Waiting<'py>> {
    Some(match entry {
        Entry::Handle(handle) => Waiting::Handle(handle.bind(py).clone().into_any()),
        Entry::ThreadSafe(handle) => Waiting::Handle(handle.bind(py).clone().into_any()),
        Entry::Foreign(handle) => Waiting::Handle(handle.bind(py).clone()),
        Entry::Posted(posted) => Waiting::Posted(posted.clone_ref(py)),
        Entry::Transport { .. } | Entry::Cancelled | Entry::Event(_) => return None,
    })
}
