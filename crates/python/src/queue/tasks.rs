//! `create_future` and `create_task`: asyncio's own objects, made in the cheapest way that makes the same.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::boundary::lock::thread_identifier;
use crate::boundary::method::{self, Args, no_arguments, raw_methods};
use crate::boundary::names::{Names, names};
use crate::boundary::object::Object;
use crate::queue::scheduler::Scheduler;

raw_methods! {
    CreateFuture, Scheduler, c"create_future", create_future,
        c"create_future($self)\n--\n\nReturn a new asyncio.Future of this loop.";
    CreateTask, Scheduler, c"create_task", create_task,
        c"create_task($self, coro, **kwargs)\n--\n\nReturn a new asyncio.Task of this loop.";
}

pub(crate) fn add_methods(py: Python<'_>) -> PyResult<()> {
    method::attach::<CreateFuture>(py)?;
    method::attach::<CreateTask>(py)
}

fn create_future(py: Python<'_>, slf: &Bound<'_, Scheduler>, args: Args<'_>) -> PyResult<Object> {
    no_arguments("create_future", args)?;
    let names = names()?;
    // A future without keywords takes the running loop, which is this one: no dictionary, no parsing.
    if runs_here(slf.get()) && !slf.get().is_debug() {
        return names.future.call0(py);
    }
    let keywords = PyDict::new(py);
    keywords.set_item("loop", slf)?;
    Ok(names.future.bind(py).call((), Some(&keywords))?.into())
}

fn create_task(py: Python<'_>, slf: &Bound<'_, Scheduler>, args: Args<'_>) -> PyResult<Object> {
    let this = slf.get();
    this.check_closed()?;
    let names = names()?;
    let plain = args.len() == 1 && !this.is_debug() && !this.has_task_factory() && runs_here(this);
    let keywords = if args.names().is_null() { Keywords::None } else { task_keywords(py, names, args)? };
    if plain
        && keywords != Keywords::Others
        && let Some(coroutine) = args.positional(py, 0)
    {
        // The loop need not be named, as it runs here. Without keywords a call costs half.
        let create = || match keywords {
            Keywords::None => names.task.call1(py, &coroutine),
            Keywords::Passed | Keywords::Others => args.pass_to(py, &names.task),
        };
        if !this.instruments().are_any() {
            return create();
        }
        this.instruments().creates(true);
        let task = create();
        this.instruments().creates(false);
        let task = task?;
        if this.instruments().tracks_tasks() {
            // Two frames: those of `note` itself.
            let registry = slf.getattr(intern!(py, "_task_registry"))?;
            registry.call_method1(intern!(py, "note"), (task.bind(py), 2))?;
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
    this.instruments().creates(true);
    let task = slf.getattr("_create_task")?.call(positional, Some(&keywords));
    this.instruments().creates(false);
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

fn task_keywords(py: Python<'_>, names: &Names, args: Args<'_>) -> PyResult<Keywords> {
    let takes = |name: &str| match name {
        "name" | "context" => true,
        "eager_start" => names.tasks_start_eagerly,
        _ => false,
    };
    if !args.keywords(py).all(|(name, _)| name.extract::<&str>().is_ok_and(takes)) {
        return Ok(Keywords::Others);
    }
    if args.keywords(py).all(|(_, value)| value.bind(py).is_none()) {
        return Ok(Keywords::None);
    }
    let class = names.tasks.bind(py).getattr(intern!(py, "Task"))?;
    Ok(if class.as_ptr() == names.task.as_ptr() { Keywords::Passed } else { Keywords::Others })
}

/// Whether this thread is running this loop.
#[inline]
fn runs_here(this: &Scheduler) -> bool {
    this.thread_id() == Some(thread_identifier())
}
