//! What the Python face schedules on the engine.
#![expect(unsafe_code, reason = "a checked cast that is made once, when an entry is made")]

use ourio_engine::Event;
use pyo3::PyClass;
use pyo3::prelude::*;

use crate::handle::{Handle, ThreadSafeHandle};
use crate::object::Object;
use crate::stream::StreamTransport;

/// One entry of the ready queue, or of a timer. 32 bytes, no allocation of its own.
#[derive(Debug)]
pub(crate) enum Entry {
    /// What C `_asyncio` schedules: a task's step, a future's callback. It throws the handle away, so there
    /// is none; one is made if the callback raises.
    Elided { function: Object, argument: Option<Object>, context: Object },
    /// A handle of ours.
    Handle(Shared<Handle>),
    /// A handle that other threads may hold.
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
    /// The references that it holds, for the garbage collector.
    pub(crate) fn references(&self) -> impl Iterator<Item = &Object> {
        let (first, second, third) = match self {
            Self::Elided { function, argument, context } => {
                (Some(function), argument.as_ref(), Some(context))
            }
            Self::Handle(handle) => (Some(handle.object()), None, None),
            Self::ThreadSafe(handle) => (Some(handle.object()), None, None),
            Self::Foreign(handle) => (Some(handle), None, None),
            Self::Transport { transport, context, .. } => (Some(transport.object()), Some(context), None),
            Self::Event(_) => (None, None, None),
        };
        [first, second, third].into_iter().flatten()
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
