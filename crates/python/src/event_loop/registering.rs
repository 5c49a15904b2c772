//! Registering descriptors: the only file that registers with the engine, changes a registration or ends one.
//!
//! Others name theirs by its token.

use ourio_engine::{Engine, Interest, IoEvent, Token};
use pyo3::prelude::*;

use crate::boundary::errors;
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::event_loop::registrations::{Listener, Listeners, Ready, Side, User};
use crate::queue::entry::Entry;

/// Registers a descriptor for an object that is told of both sides.
pub(crate) fn register(
    slf: &Bound<'_, Loop>,
    fd: i32,
    wanted: Interest,
    object: Object,
    ready: Ready<Loop>,
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
fn apply(engine: &mut Engine<Entry>, token: Token, listeners: &Listeners) -> ourio_engine::Result<()> {
    match listeners.wanted() {
        // A waiter was the last: its event has silenced the registration, and the next wait is near.
        (wanted, _) if wanted.is_none() => Ok(()),
        (wanted, true) => engine.arm(token, wanted),
        (wanted, false) => engine.rewatch(token, wanted),
    }
}

/// The owner that an event is for, if its registration still stands, and how it is told.
#[inline]
pub(crate) fn owner<'py>(slf: &Bound<'py, Loop>, token: Token) -> Option<(Bound<'py, PyAny>, Ready<Loop>)> {
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
    fn _registration(slf: &Bound<'_, Self>, fd: i32) -> Option<(u8, Py<PyAny>, Py<PyAny>)> {
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
