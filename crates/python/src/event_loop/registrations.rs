//! Who is told when a descriptor is ready: readers, writers, transports.

use ourio_engine::{Engine, Interest, IoEvent, Token};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyTuple};

use crate::boundary::context;
use crate::boundary::errors;
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::event_loop::transports;
use crate::event_loop::turn::report_transport;
use crate::queue::call_soon::source_traceback;
use crate::queue::callback::{Arguments, Callback};
use crate::queue::entry::{Entry, Shared};
use crate::queue::handle::Handle;
use crate::stream::transport::StreamTransport;

/// The watchers of one loop, indexed by descriptor.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    entries: Vec<Option<(Token, Watcher)>>,
}

#[derive(Debug)]
pub(crate) enum Watcher {
    Sides { reader: Option<Listener>, writer: Option<Listener> },
    Transport(Shared<StreamTransport>),
}

/// Who listens to one side of a descriptor.
#[derive(Debug)]
pub(crate) enum Listener {
    /// Called at every turn at which the side is ready.
    Handle(Shared<Handle>),
    /// A future, done once the side is ready.
    Waiter(Object),
}

impl Listener {
    fn object(&self) -> &Object {
        match self {
            Self::Handle(handle) => handle.object(),
            Self::Waiter(future) => future,
        }
    }

    fn is_waiter(&self) -> bool {
        matches!(self, Self::Waiter(_))
    }
}

/// One side of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}

impl Watchers {
    pub(crate) fn insert(&mut self, token: Token, watcher: Watcher) -> Option<Watcher> {
        if self.entries.len() <= token.index() {
            self.entries.resize_with(token.index() + 1, || None);
        }
        self.entries[token.index()].replace((token, watcher)).map(|(_, watcher)| watcher)
    }

    pub(crate) fn get(&self, token: Token) -> Option<&Watcher> {
        let (current, watcher) = self.entries.get(token.index())?.as_ref()?;
        (*current == token).then_some(watcher)
    }

    fn get_mut(&mut self, token: Token) -> Option<&mut Watcher> {
        let (current, watcher) = self.entries.get_mut(token.index())?.as_mut()?;
        (*current == token).then_some(watcher)
    }

    /// Takes a listener away, and the registration with the last one.
    fn take_listener(&mut self, engine: &mut Engine<Entry>, token: Token, side: Side) -> Option<Listener> {
        let Some(Watcher::Sides { reader, writer }) = self.get_mut(token) else { return None };
        let taken = if side == Side::Read { reader.take() } else { writer.take() };
        if reader.is_none() && writer.is_none() {
            engine.unwatch(token);
            self.remove(token);
        } else {
            // The descriptor may have been closed by its owner, which ends the watch as well.
            let _ = apply(engine, token, reader.as_ref(), writer.as_ref());
        }
        taken
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<Watcher> {
        self.get(token)?;
        self.entries[token.index()].take().map(|(_, watcher)| watcher)
    }

    fn by_descriptor(&mut self, fd: i32) -> Option<&mut (Token, Watcher)> {
        self.entries.get_mut(usize::try_from(fd).ok()?)?.as_mut()
    }

    pub(crate) fn references(&self) -> impl Iterator<Item = &Object> {
        self.entries.iter().flatten().flat_map(|(_, watcher)| {
            let (first, second) = match watcher {
                Watcher::Sides { reader, writer } => {
                    (reader.as_ref().map(Listener::object), writer.as_ref().map(Listener::object))
                }
                Watcher::Transport(transport) => (Some(transport.object()), None),
            };
            [first, second].into_iter().flatten()
        })
    }
}

/// A descriptor as `selectors` accepts it: a number, or an object with `fileno()`.
#[derive(Debug, Clone, Copy)]
struct Descriptor(i32);

impl<'py> FromPyObject<'_, 'py> for Descriptor {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let number = if object.is_instance_of::<PyInt>() {
            object.extract()
        } else {
            object.call_method0("fileno").and_then(|number| number.extract())
        };
        let invalid = |_| match object.repr() {
            Ok(text) => PyValueError::new_err(format!("Invalid file object: {text}")),
            Err(error) => error,
        };
        match number.map_err(invalid)? {
            number if number < 0 => Err(PyValueError::new_err(format!("Invalid file descriptor: {number}"))),
            number => Ok(Self(number)),
        }
    }
}

/// Delivers an event, if its registration still stands.
pub(crate) fn deliver(slf: &Bound<'_, Loop>, event: IoEvent) -> PyResult<()> {
    let py = slf.py();
    let ready = {
        let mut watchers = slf.get().watchers().borrow_mut();
        match watchers.get_mut(event.token) {
            None => return Ok(()),
            Some(Watcher::Transport(transport)) => {
                let transport = transport.bind(py).clone();
                drop(watchers);
                let outcome = transport.get().handle_ready(&transport, slf, event.readiness);
                return outcome.or_else(|error| report_transport(slf, &transport, error));
            }
            Some(Watcher::Sides { reader, writer }) => {
                let ready = [
                    if event.readiness.readable { take_ready(py, reader) } else { None },
                    if event.readiness.writable { take_ready(py, writer) } else { None },
                ];
                if ready.iter().flatten().any(Listener::is_waiter) {
                    let mut engine = slf.get().engine().borrow_mut();
                    // The descriptor may have been closed by its owner, which ends the watch as well.
                    let _ = apply(&mut engine, event.token, reader.as_ref(), writer.as_ref());
                }
                ready
            }
        }
    };
    for listener in ready.into_iter().flatten() {
        match listener {
            Listener::Handle(handle) => {
                let handle = handle.bind(py);
                if !handle.get().is_cancelled() {
                    crate::event_loop::turn::run_handle(slf, handle)?;
                }
            }
            Listener::Waiter(future) => {
                let future = future.bind(py);
                if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
                    future.call_method1(intern!(py, "set_result"), (py.None(),))?;
                }
            }
        }
    }
    Ok(())
}

/// Who is to be told that a side is ready: a handle stays, a waiter has waited for this.
fn take_ready(py: Python<'_>, place: &mut Option<Listener>) -> Option<Listener> {
    match place {
        Some(Listener::Handle(handle)) => Some(Listener::Handle(handle.bind(py).clone().into())),
        place => place.take(),
    }
}

/// Has the engine watch for what is listened to: again and again for handles, once for waiters.
fn apply(
    engine: &mut Engine<Entry>,
    token: Token,
    reader: Option<&Listener>,
    writer: Option<&Listener>,
) -> ourio_engine::Result<()> {
    let wanted = Interest { readable: reader.is_some(), writable: writer.is_some() };
    let listeners = [reader, writer].into_iter().flatten();
    if wanted.is_none() {
        // A waiter was the last: its event has silenced the registration, and the next wait is near.
        return Ok(());
    }
    if listeners.into_iter().all(Listener::is_waiter) {
        engine.arm(token, wanted)
    } else {
        engine.rewatch(token, wanted)
    }
}

#[pymethods]
impl Loop {
    #[pyo3(signature = (fd, callback, *args, context = None))]
    fn _add_reader<'py>(
        slf: &Bound<'py, Self>,
        fd: Descriptor,
        callback: Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Handle>> {
        add(slf, fd.0, Side::Read, callback, args, context)
    }

    #[pyo3(signature = (fd, callback, *args, context = None))]
    fn _add_writer<'py>(
        slf: &Bound<'py, Self>,
        fd: Descriptor,
        callback: Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Handle>> {
        add(slf, fd.0, Side::Write, callback, args, context)
    }

    fn _remove_reader(slf: &Bound<'_, Self>, fd: Descriptor) -> PyResult<bool> {
        remove(slf, fd.0, Side::Read)
    }

    fn _remove_writer(slf: &Bound<'_, Self>, fd: Descriptor) -> PyResult<bool> {
        remove(slf, fd.0, Side::Write)
    }

    /// What a descriptor is watched for, as `selectors` flags, and by which handles.
    fn _watched(&self, py: Python<'_>, fd: i32) -> Option<(u8, Py<PyAny>, Py<PyAny>)> {
        let mut watchers = self.watchers().borrow_mut();
        let (token, watcher) = watchers.by_descriptor(fd)?;
        let interest = self.engine().borrow().interest(*token)?;
        let flags = u8::from(interest.readable) | u8::from(interest.writable) << 1;
        let object = |handle: Option<&Object>| {
            handle.map_or_else(|| py.None(), |handle| handle.bind(py).clone().unbind())
        };
        if flags == 0 {
            return None;
        }
        Some(match watcher {
            Watcher::Sides { reader, writer } => (
                flags,
                object(reader.as_ref().map(Listener::object)),
                object(writer.as_ref().map(Listener::object)),
            ),
            Watcher::Transport(transport) => {
                (flags, object(Some(transport.object())), object(Some(transport.object())))
            }
        })
    }
}

fn add<'py>(
    slf: &Bound<'py, Loop>,
    fd: i32,
    side: Side,
    function: Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    given: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, Handle>> {
    let (py, this) = (slf.py(), slf.get());
    this.check_closed()?;
    let callback = Callback {
        function: function.into(),
        arguments: Arguments::from_tuple(py, args),
        context: Some(context::given_or_copy(py, given.map(Object::from))?),
    };
    let handle = Bound::new(py, Handle::new(slf, callback, source_traceback(py, this)?))?;
    // Errors become exceptions after the borrows have ended: making one runs Python code.
    let replaced = install(this, fd, side, Listener::Handle(handle.clone().into()));
    // asyncio: whoever waited there waits for ever.
    if let Some(Listener::Handle(replaced)) = replaced.map_err(|error| errors::engine(&error))? {
        replaced.bind(py).call_method0("cancel")?;
    }
    Ok(handle)
}

/// A future that is done when a side of a descriptor is ready.
pub(crate) fn wait(slf: &Bound<'_, Loop>, fd: i32, side: Side) -> PyResult<Object> {
    let (py, this) = (slf.py(), slf.get());
    this.check_closed()?;
    let of_ours = {
        let mut watchers = this.watchers().borrow_mut();
        matches!(watchers.by_descriptor(fd), Some((_, Watcher::Transport(_))))
    };
    if of_ours {
        slf.call_method1("_ensure_fd_no_transport", (fd,))?;
    } else {
        transports::refuse_if_used(slf, fd.into_pyobject(py)?.as_any(), fd)?;
    }
    if fd < 0 {
        return Err(PyValueError::new_err(format!("Invalid file descriptor: {fd}")));
    }
    let future = slf.call_method0(intern!(py, "create_future"))?;
    let replaced = install(this, fd, side, Listener::Waiter(future.clone().into()));
    if let Some(Listener::Handle(replaced)) = replaced.map_err(|error| errors::engine(&error))? {
        replaced.bind(py).call_method0("cancel")?;
    }
    Ok(future.into())
}

/// Whether somebody listens to the read side of a descriptor.
pub(crate) fn is_read(this: &Loop, fd: i32) -> bool {
    let mut watchers = this.watchers().borrow_mut();
    matches!(watchers.by_descriptor(fd), Some((_, Watcher::Sides { reader: Some(_), .. })))
}

/// Ends the wait of a future.
pub(crate) fn stop_waiting(slf: &Bound<'_, Loop>, fd: i32, future: &Bound<'_, PyAny>) {
    let this = slf.get();
    let removed = {
        let mut engine = this.engine().borrow_mut();
        let mut watchers = this.watchers().borrow_mut();
        let is_it = |listener: &Option<Listener>| matches!(listener, Some(Listener::Waiter(waiter)) if waiter.as_ptr() == future.as_ptr());
        let found = match watchers.by_descriptor(fd) {
            Some((token, Watcher::Sides { reader, .. })) if is_it(reader) => Some((*token, Side::Read)),
            Some((token, Watcher::Sides { writer, .. })) if is_it(writer) => Some((*token, Side::Write)),
            _ => None,
        };
        found.and_then(|(token, side)| watchers.take_listener(&mut engine, token, side))
    };
    drop(removed);
}

/// Puts a listener in its place and returns the one that it replaces.
fn install(this: &Loop, fd: i32, side: Side, listener: Listener) -> ourio_engine::Result<Option<Listener>> {
    let mut engine = this.engine().borrow_mut();
    let mut watchers = this.watchers().borrow_mut();
    if let Some((token, Watcher::Sides { reader, writer })) = watchers.by_descriptor(fd)
        && engine.interest(*token).is_some()
    {
        let place = if side == Side::Read { &mut *reader } else { &mut *writer };
        let replaced = place.replace(listener);
        let applied = apply(&mut engine, *token, reader.as_ref(), writer.as_ref());
        if let Err(error) = applied {
            let place = if side == Side::Read { reader } else { writer };
            let refused = std::mem::replace(place, replaced);
            drop((engine, watchers));
            drop(refused);
            return Err(error);
        }
        return Ok(replaced);
    }
    let token = engine.watch(fd, Interest::NONE)?;
    let (reader, writer) = if side == Side::Read { (Some(listener), None) } else { (None, Some(listener)) };
    if let Err(error) = apply(&mut engine, token, reader.as_ref(), writer.as_ref()) {
        engine.unwatch(token);
        drop((engine, watchers));
        drop((reader, writer));
        return Err(error);
    }
    let superseded = watchers.insert(token, Watcher::Sides { reader, writer });
    drop((engine, watchers));
    // A registration whose descriptor was closed behind our back and used again.
    drop(superseded);
    Ok(None)
}

fn remove(slf: &Bound<'_, Loop>, fd: i32, side: Side) -> PyResult<bool> {
    let this = slf.get();
    if this.check_closed().is_err() {
        return Ok(false);
    }
    let removed = {
        let mut engine = this.engine().borrow_mut();
        let mut watchers = this.watchers().borrow_mut();
        let Some((token, Watcher::Sides { .. })) = watchers.by_descriptor(fd) else {
            return Ok(false);
        };
        let token = *token;
        watchers.take_listener(&mut engine, token, side)
    };
    match removed {
        None => Ok(false),
        Some(Listener::Waiter(_)) => Ok(true),
        Some(Listener::Handle(handle)) => {
            handle.bind(slf.py()).call_method0("cancel")?;
            Ok(true)
        }
    }
}
