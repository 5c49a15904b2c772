//! `call_soon` and its relatives, and `time`: the methods that run per callback.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyFloat;

use crate::boundary::context;
use crate::boundary::garbage;
use crate::boundary::lock::thread_identifier;
use crate::boundary::method::{self, Args, missing, no_arguments, raw_methods};
use crate::boundary::names::names;
use crate::boundary::object::{Instance, Object};
use crate::boundary::seconds::{deadline, seconds};
use crate::queue::callback::{Arguments, Callback};
use crate::queue::elision;
use crate::queue::entry::Entry;
use crate::queue::handle::{Handle, Seat, ThreadSafeHandle, TimerHandle};
use crate::queue::ready_callback::{self, ReadyCallback};
use crate::queue::scheduler::Scheduler;

raw_methods! {
    CallSoon, Scheduler, c"call_soon", call_soon,
        c"call_soon($self, callback, *args, context=None)\n--\n\nSchedule the callback for the next turn, first in, first out.";
    CallSoonThreadsafe, Scheduler, c"call_soon_threadsafe", call_soon_threadsafe,
        c"call_soon_threadsafe($self, callback, *args, context=None)\n--\n\nSchedule the callback from any thread, and wake the loop.";
    CallLater, Scheduler, c"call_later", call_later,
        c"call_later($self, delay, callback, *args, context=None)\n--\n\nSchedule the callback to run after delay seconds.";
    CallAt, Scheduler, c"call_at", call_at,
        c"call_at($self, when, callback, *args, context=None)\n--\n\nSchedule the callback for the time when of loop.time().";
    TimeNow, Scheduler, c"time", time, c"time($self)\n--\n\nReturn the loop's time in seconds: CLOCK_MONOTONIC.";
    GetDebug, Scheduler, c"get_debug", get_debug, c"get_debug($self)\n--\n\nReturn whether debug mode is on.";
}

pub(crate) fn add_methods(py: Python<'_>) -> PyResult<()> {
    method::attach::<CallSoon>(py)?;
    method::attach::<CallSoonThreadsafe>(py)?;
    method::attach::<CallLater>(py)?;
    method::attach::<CallAt>(py)?;
    method::attach::<TimeNow>(py)?;
    method::attach::<GetDebug>(py)
}

#[inline]
fn call_soon(py: Python<'_>, slf: &Bound<'_, Scheduler>, args: Args<'_>) -> PyResult<Object> {
    let this = slf.get();
    this.check_closed()?;
    if elision::is_of_asyncio(args)
        && args.len() <= 2
        && !this.is_debug()
        && let (Some(function), Some(context)) = (args.positional(py, 0), args.keyword_value(py, 0))
    {
        if this.instruments().are_any() {
            this.instruments().scheduled(py, &function);
        }
        this.schedule(Entry::Callback(ReadyCallback::elided(function, args.positional(py, 1), context)));
        return Ok(names()?.none.clone_ref(py));
    }
    let callback = parse(py, slf, args, 0, "call_soon")?;
    if !this.is_debug() {
        return ready_callback::schedule(slf, callback);
    }
    check_thread(py, this)?;
    let handle = Bound::new(py, Handle::new(slf, callback, source_traceback(py, this)?))?;
    garbage::hide(&handle);
    this.schedule(Entry::Handle(handle.clone().into()));
    Ok(handle.into())
}

fn call_soon_threadsafe(py: Python<'_>, slf: &Bound<'_, Scheduler>, args: Args<'_>) -> PyResult<Object> {
    let this = slf.get();
    this.check_closed()?;
    let callback = parse(py, slf, args, 0, "call_soon_threadsafe")?;
    // The interpreter's lock is held, so this thread may put the entry where `call_soon` does: the order of
    // both is one order, as in asyncio.
    let handle = if this.is_debug() {
        schedule_from_thread_in_debug_mode(py, slf, callback)?
    } else {
        ready_callback::schedule_from_thread(slf, callback)?
    };
    // The loop looks at its queue with the same lock before it sleeps.
    this.remote().wake_if_asleep();
    Ok(handle)
}

fn schedule_from_thread_in_debug_mode(
    py: Python<'_>,
    slf: &Bound<'_, Scheduler>,
    callback: Callback,
) -> PyResult<Object> {
    let this = slf.get();
    let handle = Handle::new(slf, callback, source_traceback(py, this)?);
    if names()?.thread_safe_handle.is_some() {
        let handle = Bound::new(py, ThreadSafeHandle::over(handle))?;
        garbage::hide(&handle);
        handle.as_super().get().take_seat(Seat::Ready(this.engine().borrow().next_place()));
        this.schedule(Entry::ThreadSafe(handle.clone().into()));
        return Ok(handle.into());
    }
    let handle = Bound::new(py, handle)?;
    garbage::hide(&handle);
    this.schedule(Entry::Handle(handle.clone().into()));
    Ok(handle.into())
}

fn call_later(py: Python<'_>, slf: &Bound<'_, Scheduler>, args: Args<'_>) -> PyResult<Object> {
    let delay = args.positional(py, 0).ok_or_else(|| missing("call_later", "delay"))?;
    // asyncio: None is named before anything is computed with it.
    if delay.bind(py).is_none() {
        return Err(PyTypeError::new_err("delay must not be None"));
    }
    let when = match delay.bind(py).extract::<f64>() {
        Ok(delay) if delay.is_finite() || delay.is_infinite() => {
            seconds(slf.get().engine().borrow().now()) + delay
        }
        Ok(not_a_number) => not_a_number,
        Err(_) => add(py, slf, &delay)?,
    };
    schedule_at(py, slf, args, when, "call_later")
}

fn call_at(py: Python<'_>, slf: &Bound<'_, Scheduler>, args: Args<'_>) -> PyResult<Object> {
    let when = args.positional(py, 0).ok_or_else(|| missing("call_at", "when"))?;
    if when.bind(py).is_none() {
        return Err(PyTypeError::new_err("when cannot be None"));
    }
    let when = when.bind(py).extract::<f64>()?;
    schedule_at(py, slf, args, when, "call_at")
}

/// `loop.time() + delay` by Python's own rules, for what is not a float: its answer, or its error.
fn add(py: Python<'_>, slf: &Bound<'_, Scheduler>, delay: &Object) -> PyResult<f64> {
    let now = seconds(slf.get().engine().borrow().now());
    PyFloat::new(py, now).add(delay.bind(py))?.extract()
}

fn schedule_at(
    py: Python<'_>,
    slf: &Bound<'_, Scheduler>,
    args: Args<'_>,
    when: f64,
    name: &'static str,
) -> PyResult<Object> {
    let this = slf.get();
    this.check_closed()?;
    let callback = parse(py, slf, args, 1, name)?;
    if this.is_debug() {
        check_thread(py, this)?;
    }
    let handle = Handle::new(slf, callback, source_traceback(py, this)?);
    let timer = Bound::new(py, TimerHandle::over(handle, when))?;
    let entry = Entry::Handle(Instance::from(timer.as_super().clone()));
    let id = this.engine().borrow_mut().schedule_at(deadline(when), entry);
    timer.as_super().get().take_seat(Seat::Timer(id));
    garbage::hide(&timer);
    Ok(timer.into())
}

fn time(py: Python<'_>, slf: &Bound<'_, Scheduler>, args: Args<'_>) -> PyResult<Object> {
    no_arguments("time", args)?;
    let now = seconds(slf.get().engine().borrow().now());
    Ok(PyFloat::new(py, now).into())
}

fn get_debug(py: Python<'_>, slf: &Bound<'_, Scheduler>, args: Args<'_>) -> PyResult<Object> {
    no_arguments("get_debug", args)?;
    Ok(pyo3::types::PyBool::new(py, slf.get().is_debug()).to_owned().into())
}

/// asyncio: `_check_thread`, in debug mode.
pub(crate) fn check_thread(_py: Python<'_>, this: &Scheduler) -> PyResult<()> {
    match this.thread_id() {
        Some(thread) if thread != thread_identifier() => Err(PyRuntimeError::new_err(
            "Non-thread-safe operation invoked on an event loop other than the current one",
        )),
        _ => Ok(()),
    }
}

/// The callback, its arguments from `first + 1` on, and its context.
fn parse(
    py: Python<'_>,
    slf: &Bound<'_, Scheduler>,
    args: Args<'_>,
    first: usize,
    name: &'static str,
) -> PyResult<Callback> {
    let mut given = None;
    let mut named_callback = None;
    for (keyword, value) in args.keywords(py) {
        match keyword.extract::<&str>()? {
            "context" => given = Some(value),
            "callback" if args.len() <= first => named_callback = Some(value),
            other => {
                let text = format!("{name}() got an unexpected keyword argument '{other}'");
                return Err(PyTypeError::new_err(text));
            }
        }
    }
    let function = args.positional(py, first).or(named_callback).ok_or_else(|| missing(name, "callback"))?;
    if slf.get().is_debug() {
        check_callback(py, &function, name)?;
    }
    let arguments = if args.len() > first {
        Arguments::collect(py, args, first + 1, first > 0)?
    } else {
        Arguments::None
    };
    let context = match given {
        None if first > 0 && Callback::is_sleep(py, &function, &arguments) => None,
        given => Some(context::given_or_copy(py, given)?),
    };
    Ok(Callback { function, arguments, context })
}

/// asyncio: `_check_callback`, in debug mode.
pub(crate) fn check_callback(py: Python<'_>, function: &Object, name: &str) -> PyResult<()> {
    let names = names()?;
    let function = function.bind(py);
    let is_coroutine = names.iscoroutine.bind(py).call1((function,))?.is_truthy()?
        || names.iscoroutinefunction.bind(py).call1((function,))?.is_truthy()?;
    if is_coroutine {
        return Err(PyTypeError::new_err(format!("coroutines cannot be used with {name}()")));
    }
    if !function.is_callable() {
        let text = format!("a callable object was expected by {name}(), got {}", function.repr()?);
        return Err(PyTypeError::new_err(text));
    }
    Ok(())
}

/// Where a callback was scheduled, in debug mode.
pub(crate) fn source_traceback(py: Python<'_>, this: &Scheduler) -> PyResult<Option<Object>> {
    if !this.is_debug() {
        return Ok(None);
    }
    let names = names()?;
    match names.getframe.call0(py) {
        Ok(frame) => names.extract_stack.call1(py, &frame).map(Some),
        // No Python code has called us, so there is no stack.
        Err(_) => Ok(None),
    }
}
