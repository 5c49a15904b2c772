//! A callable with its arguments and its context, in the cheapest form for each number of arguments.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::boundary::context;
use crate::boundary::method::Args;
use crate::boundary::names::names;
use crate::boundary::object::Object;

/// What a handle runs.
#[derive(Debug)]
pub(crate) struct Callback {
    pub(crate) function: Object,
    pub(crate) arguments: Arguments,
    /// `None` for what `asyncio.sleep` schedules: setting a future's result runs nothing of the program's, so that
    /// no context is needed, nor a call of Python code.
    pub(crate) context: Option<Object>,
}

/// Positional arguments: most callbacks have none or one, and `asyncio.sleep`'s timer has two; they need no tuple.
#[derive(Debug)]
pub(crate) enum Arguments {
    None,
    One(Object),
    Two(Object, Object),
    Many(Object),
}

impl Arguments {
    /// The positional arguments of a call from `start` on; two of them in a tuple, unless `as_pair`.
    #[inline]
    pub(crate) fn collect(py: Python<'_>, args: Args<'_>, start: usize, as_pair: bool) -> PyResult<Self> {
        match args.len() - start {
            0 => Ok(Self::None),
            1 => Ok(args.positional(py, start).map_or(Self::None, Self::One)),
            2 if as_pair => match (args.positional(py, start), args.positional(py, start + 1)) {
                (Some(first), Some(second)) => Ok(Self::Two(first, second)),
                _ => Ok(Self::None),
            },
            _ => args.tuple_from(py, start).map(Self::Many),
        }
    }

    pub(crate) fn from_tuple(py: Python<'_>, tuple: &Bound<'_, PyTuple>) -> Self {
        match tuple.len() {
            0 => Self::None,
            _ => Self::Many(tuple.clone().into_any().unbind().into_bound(py).into()),
        }
    }

    pub(crate) fn to_tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        match self {
            Self::None => Ok(PyTuple::empty(py)),
            Self::One(argument) => PyTuple::new(py, [argument.bind(py)]),
            Self::Two(first, second) => PyTuple::new(py, [first.bind(py), second.bind(py)]),
            Self::Many(tuple) => Ok(tuple.bind(py).cast::<PyTuple>()?.clone()),
        }
    }

    fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::None => Self::None,
            Self::One(argument) => Self::One(argument.clone_ref(py)),
            Self::Two(first, second) => Self::Two(first.clone_ref(py), second.clone_ref(py)),
            Self::Many(tuple) => Self::Many(tuple.clone_ref(py)),
        }
    }
}

impl Callback {
    /// Runs it in its context.
    #[inline]
    pub(crate) fn run(&self, py: Python<'_>) -> PyResult<()> {
        let Some(context) = &self.context else { return self.set_result(py) };
        context::run_in(py, context, || match &self.arguments {
            Arguments::None => self.function.call0(py),
            Arguments::One(argument) => self.function.call1(py, argument),
            Arguments::Two(first, second) => self.function.call2(py, first, second),
            Arguments::Many(tuple) => self.function.call(py, tuple.bind(py).cast::<PyTuple>()?),
        })?;
        Ok(())
    }

    /// Whether it is `asyncio.sleep`'s: `_set_result_unless_cancelled` with a future that is asyncio's, exactly.
    #[inline]
    pub(crate) fn is_sleep(py: Python<'_>, function: &Object, arguments: &Arguments) -> bool {
        let (Ok(names), Arguments::Two(future, _)) = (names(), arguments) else { return false };
        function.as_ptr() == names.set_result_unless_cancelled.as_ptr()
            && future.bind(py).get_type().as_ptr() == names.future.as_ptr()
    }

    /// What `_set_result_unless_cancelled` does.
    fn set_result(&self, py: Python<'_>) -> PyResult<()> {
        let Arguments::Two(future, result) = &self.arguments else { return Ok(()) };
        let future = future.bind(py);
        if !future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
            future.call_method1(intern!(py, "set_result"), (result.bind(py),))?;
        }
        Ok(())
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            function: self.function.clone_ref(py),
            arguments: self.arguments.clone_ref(py),
            context: self.context.as_ref().map(|context| context.clone_ref(py)),
        }
    }

    /// The references that it holds, for the garbage collector.
    pub(crate) fn references(&self) -> impl Iterator<Item = &Object> {
        let (first, second) = match &self.arguments {
            Arguments::None => (None, None),
            Arguments::One(object) | Arguments::Many(object) => (Some(object), None),
            Arguments::Two(first, second) => (Some(first), Some(second)),
        };
        [Some(&self.function), first, second, self.context.as_ref()].into_iter().flatten()
    }
}
