//! `Registrations`: which descriptors a loop has registered, and who is told when one is ready.
//!
//! A table by number: there is one registration of a number at a time, and the engine's token tells it from an earlier one.
//! It is changed in [`registering`](super::registering) alone, together with the engine's.

use ourio_engine::{Interest, Readiness, Token};
use pyo3::prelude::*;

use crate::boundary::object::{Instance, Object};
use crate::queue::handle::Handle;

/// Who is told of a descriptor.
#[derive(Debug)]
pub(crate) enum User<L> {
    /// Readers and writers, of which one is there.
    Listeners(Listeners),
    /// One object for both sides, such as a transport.
    Owner { object: Object, ready: Ready<L> },
}

/// Tells an owner that its descriptor is ready. What it returns ends the loop.
pub(crate) type Ready<L> = for<'py> fn(&Bound<'py, L>, &Bound<'py, PyAny>, Readiness) -> PyResult<()>;

/// Who listens to the two sides of a descriptor.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pub(super) reader: Option<Listener>,
    pub(super) writer: Option<Listener>,
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

    pub(super) fn is_waiter(&self) -> bool {
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

    pub(super) fn place(&mut self, side: Side) -> &mut Option<Listener> {
        match side {
            Side::Read => &mut self.reader,
            Side::Write => &mut self.writer,
        }
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Listener> {
        [&self.reader, &self.writer].into_iter().flatten()
    }

    /// What the engine is to look for, and whether once or again and again: for waiters once.
    pub(super) fn wanted(&self) -> (Interest, bool) {
        let interest = Interest { readable: self.reader.is_some(), writable: self.writer.is_some() };
        (interest, self.each().all(Listener::is_waiter))
    }
}

/// The registrations of one loop of the class `L`, by number.
#[derive(Debug)]
pub(crate) struct Registrations<L> {
    entries: Vec<Option<(Token, User<L>)>>,
}

impl<L> Default for Registrations<L> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<L> Registrations<L> {
    pub(super) fn get(&self, token: Token) -> Option<&User<L>> {
        let (current, user) = self.entries.get(token.index())?.as_ref()?;
        (*current == token).then_some(user)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut User<L>> {
        let (current, user) = self.entries.get_mut(token.index())?.as_mut()?;
        (*current == token).then_some(user)
    }

    pub(super) fn of_number(&mut self, fd: i32) -> Option<&mut (Token, User<L>)> {
        self.entries.get_mut(usize::try_from(fd).ok()?)?.as_mut()
    }

    /// Enters a user; one whose descriptor was closed behind our back, and its number used again, comes back.
    pub(super) fn insert(&mut self, token: Token, user: User<L>) -> Option<User<L>> {
        if self.entries.len() <= token.index() {
            self.entries.resize_with(token.index() + 1, || None);
        }
        self.entries[token.index()].replace((token, user)).map(|(_, user)| user)
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<User<L>> {
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
