//! Which descriptors a loop has registered, and who is told when one is ready.
//!
//! This file is the only one that registers with the engine, changes a registration or ends one; others name theirs by
//! its token. The table is kept by number: there is one registration of a number at a time, and the engine's token tells
//! it from an earlier one.

use ourio_engine::{Interest, IoEvent, Readiness, Token};
use pyo3::prelude::*;

use crate::boundary::errors;
use crate::boundary::object::{Instance, Object};
use crate::event_loop::class::Loop;
use crate::queue::handle::Handle;

/// Who is told of a descriptor.
#[derive(Debug)]
pub(crate) enum User {
    /// Readers and writers, of which one is there.
    Listeners(Listeners),
    /// One object for both sides, such as a transport.
    Owner { object: Object, ready: Ready },
}

/// Tells an owner that its descriptor is ready. What it returns ends the loop.
pub(crate) type Ready = for<'py> fn(&Bound<'py, Loop>, &Bound<'py, PyAny>, Readiness) -> PyResult<()>;

/// Who listens to the two sides of a descriptor.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    reader: Option<Listener>,
    writer: Option<Listener>,
}

/// Who listens to one side of a descriptor.
#[derive(Debug)]
pub(crate) enum Listener {
    /// Called at every turn at which the side is ready.
    Handle(Instance<Handle>),
    /// A future, done once the side is ready.
    Waiter(Object),
}

/// One side of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}

impl Listener {
    pub(crate) fn object(&self) -> &Object {
        match self {
            Self::Handle(handle) => handle.object(),
            Self::Waiter(future) => future,
        }
    }

    fn is_waiter(&self) -> bool {
        matches!(self, Self::Waiter(_))
    }
}

impl Listeners {
    pub(crate) fn at(&self, side: Side) -> Option<&Listener> {
        match side {
            Side::Read => self.reader.as_ref(),
            Side::Write => self.writer.as_ref(),
        }
    }

    fn place(&mut self, side: Side) -> &mut Option<Listener> {
        match side {
            Side::Read => &mut self.reader,
            Side::Write => &mut self.writer,
        }
    }

    fn each(&self) -> impl Iterator<Item = &Listener> {
        [&self.reader, &self.writer].into_iter().flatten()
    }

    /// What the engine is to look for, and whether once or again and again: for waiters once.
    fn wanted(&self) -> (Interest, bool) {
        let interest = Interest { readable: self.reader.is_some(), writable: self.writer.is_some() };
        (interest, self.each().all(Listener::is_waiter))
    }
}

/// The registrations of one loop, by number.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    entries: Vec<Option<(Token, User)>>,
}

impl Registrations {
    fn get(&self, token: Token) -> Option<&User> {
        let (current, user) = self.entries.get(token.index())?.as_ref()?;
        (*current == token).then_some(user)
    }

    fn get_mut(&mut self, token: Token) -> Option<&mut User> {
        let (current, user) = self.entries.get_mut(token.index())?.as_mut()?;
        (*current == token).then_some(user)
    }

    fn of_number(&mut self, fd: i32) -> Option<&mut (Token, User)> {
        self.entries.get_mut(usize::try_from(fd).ok()?)?.as_mut()
    }

    /// Enters a user; one whose descriptor was closed behind our back, and its number used again, comes back.
    fn insert(&mut self, token: Token, user: User) -> Option<User> {
        if self.entries.len() <= token.index() {
            self.entries.resize_with(token.index() + 1, || None);
        }
        self.entries[token.index()].replace((token, user)).map(|(_, user)| user)
    }

    fn remove(&mut self, token: Token) -> Option<User> {
        self.get(token)?;
        self.entries[token.index()].take().map(|(_, user)| user)
    }

    /// What it holds, for the garbage collector.
    pub(crate) fn references(&self) -> impl Iterator<Item = &Object> {
        self.entries.iter().flatten().flat_map(|(_, user)| {
            let (first, second) = match user {
                User::Listeners(Listeners { reader, writer }) => {
                    (reader.as_ref().map(Listener::object), writer.as_ref().map(Listener::object))
                }
                User::Owner { object, .. } => (Some(object), None),
            };
            [first, second].into_iter().flatten()
        })
    }
}

/// Registers a descriptor for an object that is told of both sides.
pub(crate) fn register(
    slf: &Bound<'_, Loop>,
    fd: i32,
    wanted: Interest,
    object: Object,
    ready: Ready,
) -> PyResult<Token> {
    let scheduler = slf.as_super().get();
    let token = scheduler.engine().borrow_mut().watch(fd, wanted);
    // Errors become exceptions after the borrows have ended: making one runs Python code.
    let token = token.map_err(|error| errors::engine(&error))?;
    let superseded = slf.get().registrations().borrow_mut().insert(token, User::Owner { object, ready });
    drop(superseded);
    Ok(token)
}

/// Changes what an owner is told of.
#[inline]
pub(crate) fn change(slf: &Bound<'_, Loop>, token: Token, wanted: Interest) -> PyResult<()> {
    let outcome = slf.as_super().get().engine().borrow_mut().rewatch(token, wanted);
    outcome.map_err(|error| errors::engine(&error))
}

/// Ends the registration of an owner.
pub(crate) fn end(slf: &Bound<'_, Loop>, token: Token) {
    slf.as_super().get().engine().borrow_mut().unwatch(token);
    let user = slf.get().registrations().borrow_mut().remove(token);
    drop(user);
}

/// Puts a listener in its place and returns the one that it replaces.
pub(crate) fn listen(
    slf: &Bound<'_, Loop>,
    fd: i32,
    side: Side,
    listener: Listener,
) -> PyResult<Option<Listener>> {
    let outcome = install(slf, fd, side, listener);
    outcome.map_err(|error| errors::engine(&error))
}

fn install(
    slf: &Bound<'_, Loop>,
    fd: i32,
    side: Side,
    listener: Listener,
) -> ourio_engine::Result<Option<Listener>> {
    let mut engine = slf.as_super().get().engine().borrow_mut();
    let mut registrations = slf.get().registrations().borrow_mut();
    if let Some((token, User::Listeners(listeners))) = registrations.of_number(fd)
        && engine.interest(*token).is_some()
    {
        let replaced = listeners.place(side).replace(listener);
        if let Err(error) = apply(&mut engine, *token, listeners) {
            let refused = std::mem::replace(listeners.place(side), replaced);
            drop((engine, registrations));
            drop(refused);
            return Err(error);
        }
        return Ok(replaced);
    }
    let token = engine.watch(fd, Interest::NONE)?;
    let mut listeners = Listeners::default();
    *listeners.place(side) = Some(listener);
    if let Err(error) = apply(&mut engine, token, &listeners) {
        engine.unwatch(token);
        drop((engine, registrations));
        drop(listeners);
        return Err(error);
    }
    let superseded = registrations.insert(token, User::Listeners(listeners));
    drop((engine, registrations));
    // A registration whose descriptor was closed behind our back and used again.
    drop(superseded);
    Ok(None)
}

/// Takes the listener of a side away, and the registration with the last one. `None` if nobody listens to it.
pub(crate) fn stop_listening(slf: &Bound<'_, Loop>, fd: i32, side: Side) -> Option<Listener> {
    let mut engine = slf.as_super().get().engine().borrow_mut();
    let mut registrations = slf.get().registrations().borrow_mut();
    let Some((token, User::Listeners(listeners))) = registrations.of_number(fd) else { return None };
    let token = *token;
    let taken = listeners.place(side).take();
    if listeners.each().next().is_none() {
        engine.unwatch(token);
        registrations.remove(token);
    } else {
        // The descriptor may have been closed by its owner, which ends the registration as well.
        let _ = apply(&mut engine, token, listeners);
    }
    taken
}

/// The side of a descriptor at which a future waits.
pub(crate) fn side_of_waiter(slf: &Bound<'_, Loop>, fd: i32, future: &Bound<'_, PyAny>) -> Option<Side> {
    let mut registrations = slf.get().registrations().borrow_mut();
    let Some((_, User::Listeners(listeners))) = registrations.of_number(fd) else { return None };
    let is_it = |side: &Side| matches!(listeners.at(*side), Some(Listener::Waiter(waiter)) if waiter.as_ptr() == future.as_ptr());
    [Side::Read, Side::Write].into_iter().find(is_it)
}

/// Whether somebody listens to a side of a descriptor.
pub(crate) fn is_listened_to(slf: &Bound<'_, Loop>, fd: i32, side: Side) -> bool {
    let mut registrations = slf.get().registrations().borrow_mut();
    matches!(registrations.of_number(fd), Some((_, User::Listeners(listeners))) if listeners.at(side).is_some())
}

/// Has the engine look for what is listened to: again and again for handles, once for waiters.
fn apply(
    engine: &mut ourio_engine::Engine<crate::queue::entry::Entry>,
    token: Token,
    listeners: &Listeners,
) -> ourio_engine::Result<()> {
    match listeners.wanted() {
        // A waiter was the last: its event has silenced the registration, and the next wait is near.
        (wanted, _) if wanted.is_none() => Ok(()),
        (wanted, true) => engine.arm(token, wanted),
        (wanted, false) => engine.rewatch(token, wanted),
    }
}

/// The owner that an event is for, if its registration still stands, and how it is told.
#[inline]
pub(crate) fn owner<'py>(slf: &Bound<'py, Loop>, token: Token) -> Option<(Bound<'py, PyAny>, Ready)> {
    match slf.get().registrations().borrow().get(token) {
        Some(User::Owner { object, ready }) => Some((object.bind(slf.py()).clone(), *ready)),
        _ => None,
    }
}

/// The reader and the writer that an event is for, if its registration still stands. A handle stays; a waiter has waited
/// for this.
pub(crate) fn take_listeners(slf: &Bound<'_, Loop>, event: IoEvent) -> [Option<Listener>; 2] {
    let py = slf.py();
    let mut registrations = slf.get().registrations().borrow_mut();
    let Some(User::Listeners(listeners)) = registrations.get_mut(event.token) else { return [None, None] };
    let told = [
        if event.readiness.readable { take_ready(py, &mut listeners.reader) } else { None },
        if event.readiness.writable { take_ready(py, &mut listeners.writer) } else { None },
    ];
    if told.iter().flatten().any(Listener::is_waiter) {
        let mut engine = slf.as_super().get().engine().borrow_mut();
        // The descriptor may have been closed by its owner, which ends the registration as well.
        let _ = apply(&mut engine, event.token, listeners);
    }
    told
}

fn take_ready(py: Python<'_>, place: &mut Option<Listener>) -> Option<Listener> {
    match place {
        Some(Listener::Handle(handle)) => Some(Listener::Handle(handle.bind(py).clone().into())),
        place => place.take(),
    }
}

/// Whether an event is for readers or writers.
pub(crate) fn is_for_listeners(slf: &Bound<'_, Loop>, token: Token) -> bool {
    matches!(slf.get().registrations().borrow().get(token), Some(User::Listeners(_)))
}

#[pymethods]
impl Loop {
    /// What a descriptor is registered for, as `selectors` flags, and by whom: handles, or a transport.
    fn _watched(slf: &Bound<'_, Self>, fd: i32) -> Option<(u8, Py<PyAny>, Py<PyAny>)> {
        let py = slf.py();
        let mut registrations = slf.get().registrations().borrow_mut();
        let (token, user) = registrations.of_number(fd)?;
        let interest = slf.as_super().get().engine().borrow().interest(*token)?;
        let flags = u8::from(interest.readable) | u8::from(interest.writable) << 1;
        if flags == 0 {
            return None;
        }
        let object = |object: Option<&Object>| {
            object.map_or_else(|| py.None(), |object| object.bind(py).clone().unbind())
        };
        Some(match user {
            User::Listeners(listeners) => (
                flags,
                object(listeners.at(Side::Read).map(Listener::object)),
                object(listeners.at(Side::Write).map(Listener::object)),
            ),
            User::Owner { object: owner, .. } => (flags, object(Some(owner)), object(Some(owner))),
        })
    }
}
