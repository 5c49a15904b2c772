//! `call_soon` and its relatives, `time`, `create_future`, `create_task`: the methods that run per callback.
//!
//! # Handle elision
//!
//! C `_asyncio` calls `loop.call_soon(func[, arg], context=ctx)` for every task step and every future
//! callback, always with its own constant tuple of keyword names, and throws the result away. Nobody else
//! has that tuple, so its address, captured at import, says that no handle is needed. Debug mode takes the
//! ordinary way, as it wants to name what runs; so does a foreign thread, by asyncio's own rule.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::OnceLock;

use ourio_engine::Time;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::boundary::context;
use crate::boundary::garbage;
use crate::boundary::lock::GilBound;
use crate::boundary::method::{self, Args, Body, RawMethod};
use crate::boundary::names::{Known, known};
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::queue::callback::{Arguments, Callback};
use crate::queue::entry::{Entry, Shared};
use crate::queue::handle::{Handle, ThreadSafeHandle, TimerHandle};
use crate::queue::ready_callback::{self, Posted};

/// The address of `_asyncio`'s tuple of keyword names; zero if it has none.
static ASYNCIO_KEYWORDS: OnceLock<usize> = OnceLock::new();

/// A loop that only listens to how C `_asyncio` calls it.
#[pyclass(frozen)]
struct Eavesdropper {
    names: GilBound<Cell<usize>>,
}

#[pymethods]
impl Eavesdropper {
    fn get_debug(&self) -> bool {
        false
    }
}

macro_rules! raw_methods {
    ($($type:ident, $class:ty, $name:literal, $body:path, $doc:literal;)+) => {
        $(
            struct $type;
            impl RawMethod for $type {
                type Class = $class;
                const NAME: &'static CStr = $name;
                const DOC: &'static CStr = $doc;
                const BODY: Body<$class> = $body;
            }
        )+
    };
}
pub(crate) use raw_methods;

raw_methods! {
    Eavesdrop, Eavesdropper, c"call_soon", eavesdrop, c"";
    CallSoon, Loop, c"call_soon", call_soon,
        c"call_soon($self, callback, *args, context=None)\n--\n\nSchedule the callback for the next turn, first in, first out.";
    CallSoonThreadsafe, Loop, c"call_soon_threadsafe", call_soon_threadsafe,
        c"call_soon_threadsafe($self, callback, *args, context=None)\n--\n\nSchedule the callback from any thread, and wake the loop.";
    CallLater, Loop, c"call_later", call_later,
        c"call_later($self, delay, callback, *args, context=None)\n--\n\nSchedule the callback to run after delay seconds.";
    CallAt, Loop, c"call_at", call_at,
        c"call_at($self, when, callback, *args, context=None)\n--\n\nSchedule the callback for the time when of loop.time().";
    TimeNow, Loop, c"time", time, c"time($self)\n--\n\nReturn the loop's time in seconds: CLOCK_MONOTONIC.";
    GetDebug, Loop, c"get_debug", get_debug, c"get_debug($self)\n--\n\nReturn whether debug mode is on.";
    CreateFuture, Loop, c"create_future", create_future,
        c"create_future($self)\n--\n\nReturn a new asyncio.Future of this loop.";
    CreateTask, Loop, c"create_task", create_task,
        c"create_task($self, coro, **kwargs)\n--\n\nReturn a new asyncio.Task of this loop.";
}

pub(crate) fn add_methods(py: Python<'_>) -> PyResult<()> {
    method::attach::<CallSoon>(py)?;
    method::attach::<CallSoonThreadsafe>(py)?;
    method::attach::<CallLater>(py)?;
    method::attach::<CallAt>(py)?;
    method::attach::<TimeNow>(py)?;
    method::attach::<GetDebug>(py)?;
    method::attach::<CreateFuture>(py)?;
    method::attach::<CreateTask>(py)
}

/// Lets a future call an eavesdropper once, to learn the address of `_asyncio`'s keyword names.
pub(crate) fn capture_keyword_names(py: Python<'_>) -> PyResult<()> {
    method::attach::<Eavesdrop>(py)?;
    let eavesdropper = Bound::new(py, Eavesdropper { names: GilBound::new(Cell::new(0)) })?;
    let keywords = PyDict::new(py);
    keywords.set_item("loop", &eavesdropper)?;
    let future = known()?.future.bind(py).call((), Some(&keywords))?;
    future.call_method1("add_done_callback", (py.get_type::<Eavesdropper>(),))?;
    future.call_method1("set_result", (py.None(),))?;
    // An interpreter whose futures are written in Python passes names of its own each time: then none match.
    let accelerated = py.import("asyncio.futures")?.getattr("_CFuture").is_ok();
    let names = if accelerated { eavesdropper.get().names.get() } else { 0 };
    let _ = ASYNCIO_KEYWORDS.set(names);
    Ok(())
}

fn eavesdrop(_py: Python<'_>, slf: &Bound<'_, Eavesdropper>, args: Args<'_>) -> PyResult<Object> {
    slf.get().names.set(args.names().addr());
    Ok(known()?.none.clone_ref(slf.py()))
}

#[inline]
fn call_soon(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    let this = slf.get();
    this.check_closed()?;
    if !args.names().is_null()
        && Some(&args.names().addr()) == ASYNCIO_KEYWORDS.get()
        && args.len() <= 2
        && !this.is_debug()
        && let (Some(function), Some(context)) = (args.positional(py, 0), args.keyword_value(py, 0))
    {
        if this.is_instrumented() {
            this.record_wake(py, &function);
        }
        this.schedule(Entry::Posted(Posted::elided(function, args.positional(py, 1), context)));
        return Ok(known()?.none.clone_ref(py));
    }
    let callback = parse(py, slf, args, 0, "call_soon")?;
    if !this.is_debug() {
        return ready_callback::post(slf, callback);
    }
    check_thread(py, this)?;
    let handle = Bound::new(py, Handle::new(slf, callback, source_traceback(py, this)?))?;
    garbage::hide(&handle);
    this.schedule(Entry::Handle(handle.clone().into()));
    Ok(handle.into())
}

fn call_soon_threadsafe(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    let this = slf.get();
    this.check_closed()?;
    let callback = parse(py, slf, args, 0, "call_soon_threadsafe")?;
    // The interpreter's lock is held, so this thread may put the entry where `call_soon` does: the order of
    // both is one order, as in asyncio.
    let handle = if this.is_debug() {
        post_from_thread_in_debug_mode(py, slf, callback)?
    } else {
        ready_callback::post_from_thread(slf, callback)?
    };
    // The loop looks at its queue with the same lock before it sleeps.
    this.remote().wake_if_asleep();
    Ok(handle)
}

fn post_from_thread_in_debug_mode(
    py: Python<'_>,
    slf: &Bound<'_, Loop>,
    callback: Callback,
) -> PyResult<Object> {
    let this = slf.get();
    let handle = Handle::new(slf, callback, source_traceback(py, this)?);
    if known()?.thread_safe_handle.is_some() {
        let handle = Bound::new(py, ThreadSafeHandle::over(handle))?;
        garbage::hide(&handle);
        handle.as_super().get().note_place(this.engine().borrow().next_place());
        this.schedule(Entry::ThreadSafe(handle.clone().into()));
        return Ok(handle.into());
    }
    let handle = Bound::new(py, handle)?;
    garbage::hide(&handle);
    this.schedule(Entry::Handle(handle.clone().into()));
    Ok(handle.into())
}

fn call_later(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
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

fn call_at(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    let when = args.positional(py, 0).ok_or_else(|| missing("call_at", "when"))?;
    if when.bind(py).is_none() {
        return Err(PyTypeError::new_err("when cannot be None"));
    }
    let when = when.bind(py).extract::<f64>()?;
    schedule_at(py, slf, args, when, "call_at")
}

/// `loop.time() + delay` by Python's own rules, for what is not a float: its answer, or its error.
fn add(py: Python<'_>, slf: &Bound<'_, Loop>, delay: &Object) -> PyResult<f64> {
    let now = seconds(slf.get().engine().borrow().now());
    pyo3::types::PyFloat::new(py, now).add(delay.bind(py))?.extract()
}

fn schedule_at(
    py: Python<'_>,
    slf: &Bound<'_, Loop>,
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
    let timer = PyClassInitializer::from(handle).add_subclass(TimerHandle::new(when));
    let timer = Bound::new(py, timer)?;
    let entry = Entry::Handle(Shared::from(timer.as_super().clone()));
    let id = this.engine().borrow_mut().schedule_at(deadline(when), entry);
    timer.get().set_id(id);
    garbage::hide(&timer);
    Ok(timer.into())
}

fn time(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    no_arguments("time", args)?;
    let now = seconds(slf.get().engine().borrow().now());
    Ok(pyo3::types::PyFloat::new(py, now).into())
}

fn get_debug(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    no_arguments("get_debug", args)?;
    Ok(pyo3::types::PyBool::new(py, slf.get().is_debug()).to_owned().into())
}

fn create_future(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    no_arguments("create_future", args)?;
    let known = known()?;
    // A future without keywords takes the running loop, which is this one: no dictionary, no parsing.
    if runs_here(slf.get()) && !slf.get().is_debug() {
        return known.future.call0(py);
    }
    let keywords = PyDict::new(py);
    keywords.set_item("loop", slf)?;
    Ok(known.future.bind(py).call((), Some(&keywords))?.into())
}

fn create_task(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    let this = slf.get();
    this.check_closed()?;
    let known = known()?;
    let plain =
        args.len() == 1 && !this.is_debug() && this.task_factory().borrow().is_none() && runs_here(this);
    let keywords = if args.names().is_null() { Keywords::None } else { task_keywords(py, known, args)? };
    if plain
        && keywords != Keywords::Others
        && let Some(coroutine) = args.positional(py, 0)
    {
        // The loop need not be named, as it runs here. Without keywords a call costs half.
        let create = || match keywords {
            Keywords::None => known.task.call1(py, &coroutine),
            Keywords::Passed | Keywords::Others => args.pass_to(py, &known.task),
        };
        if !this.is_instrumented() {
            return create();
        }
        this.record_creation(true);
        let task = create();
        this.record_creation(false);
        let task = task?;
        if this.tracks_tasks() {
            // Two frames: those of `note` itself.
            let book = slf.getattr(intern!(py, "_task_book"))?;
            book.call_method1(intern!(py, "note"), (task.bind(py), 2))?;
        }
        return Ok(task);
    }
    let positional = args.tuple_from(py, 0)?;
    let keywords = PyDict::new(py);
    for (name, value) in args.keywords(py) {
        keywords.set_item(name, value.bind(py))?;
    }
    // asyncio's own code, per version: factories, eager tasks, debug mode.
    let positional = positional.bind(py).cast::<PyTuple>()?;
    this.record_creation(true);
    let task = slf.getattr("_create_task")?.call(positional, Some(&keywords));
    this.record_creation(false);
    Ok(task?.into())
}

/// What `create_task` was given by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keywords {
    /// Nothing but `None`.
    None,
    /// What asyncio's class takes.
    Passed,
    /// What is asyncio's to judge, or for a class that a program has put in the place of asyncio's.
    Others,
}

fn task_keywords(py: Python<'_>, known: &Known, args: Args<'_>) -> PyResult<Keywords> {
    let takes = |name: &str| match name {
        "name" | "context" => true,
        "eager_start" => known.tasks_start_eagerly,
        _ => false,
    };
    if !args.keywords(py).all(|(name, _)| name.extract::<&str>().is_ok_and(takes)) {
        return Ok(Keywords::Others);
    }
    if args.keywords(py).all(|(_, value)| value.bind(py).is_none()) {
        return Ok(Keywords::None);
    }
    let class = known.tasks.bind(py).getattr(intern!(py, "Task"))?;
    Ok(if class.as_ptr() == known.task.as_ptr() { Keywords::Passed } else { Keywords::Others })
}

/// Whether this thread is running this loop.
#[inline]
fn runs_here(this: &Loop) -> bool {
    this.thread_id() == Some(thread_identifier())
}

#[inline]
#[expect(unsafe_code, reason = "one call without preconditions that has no safe wrapper")]
pub(crate) fn thread_identifier() -> u64 {
    // SAFETY: callable from any thread at any time.
    unsafe { ffi::PyThread_get_thread_ident() as u64 }
}

/// asyncio: `_check_thread`, in debug mode.
pub(crate) fn check_thread(_py: Python<'_>, this: &Loop) -> PyResult<()> {
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
    slf: &Bound<'_, Loop>,
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
    let known = known()?;
    let function = function.bind(py);
    let is_coroutine = known.iscoroutine.bind(py).call1((function,))?.is_truthy()?
        || known.iscoroutinefunction.bind(py).call1((function,))?.is_truthy()?;
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
pub(crate) fn source_traceback(py: Python<'_>, this: &Loop) -> PyResult<Option<Object>> {
    if !this.is_debug() {
        return Ok(None);
    }
    let known = known()?;
    match known.getframe.call0(py) {
        Ok(frame) => known.extract_stack.call1(py, &frame).map(Some),
        // No Python code has called us, so there is no stack.
        Err(_) => Ok(None),
    }
}

fn missing(name: &str, argument: &str) -> PyErr {
    PyTypeError::new_err(format!("{name}() missing 1 required positional argument: '{argument}'"))
}

fn no_arguments(name: &str, args: Args<'_>) -> PyResult<()> {
    if args.len() == 0 && args.names().is_null() {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!("{name}() takes no arguments ({} given)", args.len())))
}

/// Seconds as `time.monotonic()` gives them.
#[expect(clippy::cast_precision_loss, reason = "as Python: 53 bits are 104 days of nanoseconds")]
pub(crate) fn seconds(time: Time) -> f64 {
    time.as_nanos() as f64 / 1e9
}

/// Seconds as whole nanoseconds; the past and NaN are 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is 0")]
pub(crate) fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// A deadline in whole nanoseconds, rounded up so that no timer is early. Beyond what fits it never
/// comes; the past and NaN are due at once, as `max(0, when - now)` makes them in asyncio.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is 0")]
fn deadline(when: f64) -> Time {
    Time::from_nanos((when * 1e9).ceil() as u64)
}
