//! Who is told when a descriptor is ready: readers, writers, transports.

use ourio_engine::{Interest, IoEvent, Token};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyTuple};

use crate::callback::{Arguments, Callback};
use crate::context;
use crate::entry::Shared;
use crate::error;
use crate::event_loop::Loop;
use crate::handle::Handle;
use crate::object::Object;
use crate::schedule::source_traceback;
use crate::stream::StreamTransport;
use crate::turn::report_transport;

/// The watchers of one loop, indexed by descriptor.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    entries: Vec<Option<(Token, Watcher)>>,
}

#[derive(Debug)]
pub(crate) enum Watcher {
    Handles { reader: Option<Shared<Handle>>, writer: Option<Shared<Handle>> },
    Transport(Shared<StreamTransport>),
}

/// One side of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
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
                Watcher::Handles { reader, writer } => {
                    (reader.as_ref().map(Shared::object), writer.as_ref().map(Shared::object))
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
    let (reader, writer) = {
        let watchers = slf.get().watchers().borrow();
        match watchers.get(event.token) {
            None => return Ok(()),
            Some(Watcher::Transport(transport)) => {
                let transport = transport.bind(py).clone();
                drop(watchers);
                let outcome = transport.get().handle_ready(&transport, slf, event.readiness);
                return outcome.or_else(|error| report_transport(slf, &transport, error));
            }
            Some(Watcher::Handles { reader, writer }) => (
                reader.as_ref().filter(|_| event.readiness.readable).map(|handle| handle.bind(py).clone()),
                writer.as_ref().filter(|_| event.readiness.writable).map(|handle| handle.bind(py).clone()),
            ),
        }
    };
    for handle in [reader, writer].into_iter().flatten() {
        if !handle.get().is_cancelled() {
            crate::turn::run_handle(slf, &handle)?;
        }
    }
    Ok(())
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
        Some(match watcher {
            Watcher::Handles { reader, writer } => (
                flags,
                object(reader.as_ref().map(Shared::object)),
                object(writer.as_ref().map(Shared::object)),
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
        context: context::given_or_copy(py, given.map(Object::from))?,
    };
    let handle = Bound::new(py, Handle::new(slf, callback, source_traceback(py, this)?))?;
    // Errors become exceptions after the borrows have ended: making one runs Python code.
    let replaced = install(this, fd, side, handle.clone().into()).map_err(|error| error::engine(&error))?;
    if let Some(replaced) = replaced {
        replaced.bind(py).call_method0("cancel")?;
    }
    Ok(handle)
}

/// Puts a handle in its place and returns the one that it replaces.
fn install(
    this: &Loop,
    fd: i32,
    side: Side,
    handle: Shared<Handle>,
) -> ourio_engine::Result<Option<Shared<Handle>>> {
    let mut engine = this.engine().borrow_mut();
    let mut watchers = this.watchers().borrow_mut();
    let wanted = |interest: Interest| match side {
        Side::Read => Interest { readable: true, ..interest },
        Side::Write => Interest { writable: true, ..interest },
    };
    if let Some((token, Watcher::Handles { reader, writer })) = watchers.by_descriptor(fd)
        && let Some(interest) = engine.interest(*token)
    {
        engine.rewatch(*token, wanted(interest))?;
        let place = if side == Side::Read { reader } else { writer };
        return Ok(place.replace(handle));
    }
    let token = engine.watch(fd, wanted(Interest::NONE))?;
    let watcher = match side {
        Side::Read => Watcher::Handles { reader: Some(handle), writer: None },
        Side::Write => Watcher::Handles { reader: None, writer: Some(handle) },
    };
    let superseded = watchers.insert(token, watcher);
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
        let Some((token, Watcher::Handles { reader, writer })) = watchers.by_descriptor(fd) else {
            return Ok(false);
        };
        let token = *token;
        let removed = if side == Side::Read { reader.take() } else { writer.take() };
        let left = Interest { readable: reader.is_some(), writable: writer.is_some() };
        if left.is_none() {
            engine.unwatch(token);
            watchers.remove(token);
        } else {
            // The descriptor may have been closed by its owner, which ends the watch as well.
            let _ = engine.rewatch(token, left);
        }
        removed
    };
    let Some(handle) = removed else { return Ok(false) };
    handle.bind(slf.py()).call_method0("cancel")?;
    Ok(true)
}
