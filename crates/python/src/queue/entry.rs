//! What the Python face schedules on the engine.
#![expect(unsafe_code, reason = "a checked cast that is made once, when an entry is made")]

use ourio_engine::Event;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;
use pyo3::{PyClass, PyTraverseError};

use crate::boundary::garbage;
use crate::boundary::object::Object;
use crate::queue::handle::{Handle, ThreadSafeHandle};
use crate::queue::ready_callback::Posted;
use crate::stream::transport::StreamTransport;

/// One entry of the ready queue, or of a timer. 32 bytes, no allocation of its own.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A callback, without a handle.
    Posted(Posted),
    /// What was taken out by its handle.
    Cancelled,
    /// A handle of ours: of a timer, of a descriptor, or in debug mode.
    Handle(Shared<Handle>),
    /// A handle that other threads may hold, in debug mode.
    ThreadSafe(Shared<ThreadSafeHandle>),
    /// A handle that asyncio's own code has made.
    Foreign(Object),
    /// A step in the life of a transport, in a context.
    Transport { transport: Shared<StreamTransport>, context: Object, step: Step },
    /// Something happened outside.
    Event(Event),
}

/// What a transport has to do from the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Call `connection_made`, start reading, and wake who waits for that.
    Made,
    /// Call `connection_lost` and release the socket.
    Lost,
}

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
            Self::Posted(_)
            | Self::Cancelled
            | Self::Foreign(_)
            | Self::Transport { .. }
            | Self::Event(_) => {}
        }
    }

    fn references(&self) -> impl Iterator<Item = &Object> {
        let references = match self {
            Self::Posted(posted) => posted.references(),
            Self::Handle(handle) => [Some(handle.object()), None, None],
            Self::ThreadSafe(handle) => [Some(handle.object()), None, None],
            Self::Foreign(handle) => [Some(handle), None, None],
            Self::Transport { transport, context, .. } => [Some(transport.object()), Some(context), None],
            Self::Cancelled | Self::Event(_) => [None, None, None],
        };
        references.into_iter().flatten()
    }
}

/// An owned reference to an instance of one of our classes, dropped attached as every [`Object`].
#[derive(Debug)]
pub(crate) struct Shared<T> {
    object: Object,
    class: std::marker::PhantomData<T>,
}

impl<T: PyClass> Shared<T> {
    #[inline]
    pub(crate) fn bind<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, T> {
        // SAFETY: the only constructor takes an instance of the class.
        unsafe { self.object.bind(py).cast_unchecked::<T>() }
    }
}

impl<T> From<Bound<'_, T>> for Shared<T> {
    #[inline]
    fn from(bound: Bound<'_, T>) -> Self {
        Self { object: bound.into(), class: std::marker::PhantomData }
    }
}

impl<T> Shared<T> {
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }
}

impl Shared<Handle> {
    /// What is in it, for `__traverse__`, which has no token.
    pub(crate) fn get(&self) -> &Handle {
        // SAFETY: the object is a `Handle`, as in `bind`.
        unsafe { contents(&self.object) }
    }
}

impl Shared<ThreadSafeHandle> {
    /// The part of it that is a `Handle`, for `__traverse__`.
    pub(crate) fn get_base(&self) -> &Handle {
        // SAFETY: the object is a `ThreadSafeHandle`, as in `bind`, so it is a `Handle`.
        unsafe { contents(&self.object) }
    }
}

/// # Safety
///
/// The object is an instance of `Handle` or of a class derived from it.
unsafe fn contents(object: &Object) -> &Handle {
    let object: *const Py<PyAny> = object.as_py();
    // SAFETY: `Py<T>` is one pointer whatever `T` is, and the object is what the caller says.
    unsafe { &*object.cast::<Py<Handle>>() }.get()
}
