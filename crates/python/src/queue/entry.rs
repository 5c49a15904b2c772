//! What the Python face schedules on the engine.

use ourio_engine::Event;
use pyo3::PyTraverseError;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;

use crate::boundary::garbage;
use crate::boundary::object::{Instance, Object};
use crate::queue::handle::{Handle, ThreadSafeHandle};
use crate::queue::ready_callback::ReadyCallback;
use crate::queue::scheduler::Scheduler;

/// One entry of the ready queue, or of a timer. 32 bytes, no allocation of its own.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A callback, without a handle.
    Callback(ReadyCallback),
    /// What was taken out by its handle.
    Cancelled,
    /// A handle of ours: of a timer, of a descriptor, or in debug mode.
    Handle(Instance<Handle>),
    /// A handle that other threads may hold, in debug mode.
    ThreadSafe(Instance<ThreadSafeHandle>),
    /// A handle that asyncio's own code has made.
    Foreign(Object),
    /// A step in the life of something that the queue knows nothing of, such as a transport.
    Step { object: Object, context: Object, run: Step },
    /// Something happened outside.
    Event(Event),
}

/// Runs a step of an object; the context is for what of the program's it calls. What it returns ends the loop.
pub(crate) type Step = for<'py> fn(&Bound<'py, Scheduler>, &Bound<'py, PyAny>, &Object) -> PyResult<()>;

const _: () = assert!(size_of::<Entry>() <= 32);

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

impl Entry {
    /// Shows the garbage collector what it holds; through a hidden handle, what that holds.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Handle(handle) if garbage::is_ours_alone(handle) => return handle.get().traverse(visit),
            Self::ThreadSafe(handle) if garbage::is_ours_alone(handle) => {
                return handle.get_base().traverse(visit);
            }
            _ => {}
        }
        self.references().try_for_each(|object| visit.call(object.as_py()))
    }

    /// It leaves the queue: the garbage collector sees its handle again.
    #[inline]
    pub(crate) fn leave(&self, py: Python<'_>) {
        match self {
            Self::Handle(handle) => garbage::show(handle.bind(py)),
            Self::ThreadSafe(handle) => garbage::show(handle.bind(py)),
            Self::Callback(_) | Self::Cancelled | Self::Foreign(_) | Self::Step { .. } | Self::Event(_) => {}
        }
    }

    fn references(&self) -> impl Iterator<Item = &Object> {
        let references = match self {
            Self::Callback(callback) => callback.references(),
            Self::Handle(handle) => [Some(handle.object()), None, None],
            Self::ThreadSafe(handle) => [Some(handle.object()), None, None],
            Self::Foreign(handle) => [Some(handle), None, None],
            Self::Step { object, context, .. } => [Some(object), Some(context), None],
            Self::Cancelled | Self::Event(_) => [None, None, None],
        };
        references.into_iter().flatten()
    }
}
