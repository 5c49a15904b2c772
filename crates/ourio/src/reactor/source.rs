//! A descriptor that tasks and callbacks of a loop wait for.
//!
//! Level-triggered: once somebody has waited for a side, its interest stays with the kernel, so that a connection that
//! reads, answers and reads again costs no `epoll_ctl`. An event that finds nobody waiting takes the interest back
//! (the level would be reported at every turn); writing is watched only while somebody waits for it.
//!
//! What has been learned about a side is kept: after a read that did not fill its buffer nothing is asked of the
//! kernel until it has reported more.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use ourio_engine::{Interest, IoEvent, Token};

use crate::context;
use crate::error::Result;
use crate::scheduling::running;
use crate::scheduling::{Inner, contain};
use crate::table::TaskId;
use crate::waiters::{Waiter, Waits};

/// A side of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}

/// What the loop knows of a descriptor.
pub(crate) struct Source {
    fd: RawFd,
    home: RefCell<Weak<Inner>>,
    token: Cell<Option<Token>>,
    interest: Cell<Interest>,
    reading: Direction,
    writing: Direction,
}

struct Direction {
    /// Whether a call may be worth its while: nobody has heard otherwise since the last event.
    promising: Cell<bool>,
    waiters: RefCell<Vec<Waiter>>,
    callback: RefCell<Option<Rc<Callback>>>,
}

struct Callback {
    context: context::Context,
    call: RefCell<Box<dyn FnMut()>>,
}

impl Default for Direction {
    fn default() -> Self {
        Self { promising: Cell::new(true), waiters: RefCell::default(), callback: RefCell::default() }
    }
}

impl Direction {
    fn is_idle(&self) -> bool {
        self.waiters.borrow().is_empty() && self.callback.borrow().is_none()
    }
}

impl Source {
    fn new(fd: RawFd) -> Rc<Self> {
        Rc::new(Self {
            fd,
            home: RefCell::default(),
            token: Cell::new(None),
            interest: Cell::new(Interest::NONE),
            reading: Direction::default(),
            writing: Direction::default(),
        })
    }

    fn direction(&self, side: Side) -> &Direction {
        match side {
            Side::Read => &self.reading,
            Side::Write => &self.writing,
        }
    }

    /// Has the next event of a side wake whoever polls with this context.
    fn wait(self: &Rc<Self>, side: Side, context: &Context<'_>) -> io::Result<()> {
        let inner = running::expect();
        self.watch(&inner, side)?;
        let waits = || match side {
            Side::Read => Waits::Readable(self.fd),
            Side::Write => Waits::Writable(self.fd),
        };
        let waiter = Waiter::of(context, waits);
        let mut waiters = self.direction(side).waiters.borrow_mut();
        let known = waiters.iter_mut().find(|known| known.is_same(&waiter));
        match known {
            Some(known) => *known = waiter,
            None => {
                waiters.push(waiter);
                inner.io_waiting.set(inner.io_waiting.get() + 1);
            }
        }
        Ok(())
    }

    /// Has the kernel report a side, on the loop that runs.
    fn watch(self: &Rc<Self>, inner: &Rc<Inner>, side: Side) -> io::Result<()> {
        let before = self.home.borrow().as_ptr();
        if before != Rc::as_ptr(inner) {
            // The first time, or on another loop than before.
            self.leave();
            self.home.replace(Rc::downgrade(inner));
        }
        let mut interest = self.interest.get();
        match side {
            Side::Read => interest.readable = true,
            Side::Write => interest.writable = true,
        }
        if interest == self.interest.get() && self.token.get().is_some() {
            return Ok(());
        }
        let mut engine = inner.engine.borrow_mut();
        let watched = match self.token.get() {
            None => engine.watch(self.fd, interest).map(|token| self.token.set(Some(token))),
            Some(token) => engine.rewatch(token, interest),
        };
        drop(engine);
        watched.map_err(as_io)?;
        self.interest.set(interest);
        inner.keep_source(self);
        Ok(())
    }

    fn unwatch(&self, inner: &Inner, side: Side) {
        let mut interest = self.interest.get();
        match side {
            Side::Read => interest.readable = false,
            Side::Write => interest.writable = false,
        }
        if let Some(token) = self.token.get()
            && interest != self.interest.get()
        {
            // A number that was closed behind our back is out of the kernel's set already.
            let _ = inner.engine.borrow_mut().rewatch(token, interest);
            self.interest.set(interest);
        }
    }

    /// Ends everything that the loop knows of the descriptor: before it is closed.
    fn leave(&self) {
        let inner = self.home.take().upgrade();
        self.interest.set(Interest::NONE);
        if let (Some(inner), Some(token)) = (inner, self.token.take()) {
            inner.engine.borrow_mut().unwatch(token);
            let waiting = self.reading.waiters.take().len() + self.writing.waiters.take().len();
            inner.io_waiting.set(inner.io_waiting.get() - waiting - self.callbacks());
            let known = inner.sources.borrow_mut().get_mut(token.index()).and_then(|known| {
                // The number may be another's by now.
                if known.as_ref().is_some_and(|known| std::ptr::eq(&raw const **known, self)) {
                    known.take()
                } else {
                    None
                }
            });
            drop(known);
        }
    }

    fn callbacks(&self) -> usize {
        let one = |direction: &Direction| usize::from(direction.callback.borrow().is_some());
        one(&self.reading) + one(&self.writing)
    }
}

/// An engine's refusal as the error of an I/O call; the kernel's code is kept.
pub(crate) fn as_io(error: ourio_engine::Error) -> io::Error {
    match error {
        ourio_engine::Error::System { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}

impl Inner {
    fn keep_source(&self, source: &Rc<Source>) {
        let place = usize::try_from(source.fd).unwrap_or(0);
        let mut sources = self.sources.borrow_mut();
        if sources.len() <= place {
            sources.resize_with(place + 1, || None);
        }
        let before = sources[place].replace(Rc::clone(source));
        drop(sources);
        drop(before);
    }

    /// A descriptor has become ready: its callbacks run, and the tasks that wait for it are to.
    pub(crate) fn ready(&self, event: IoEvent) -> [Option<TaskId>; 2] {
        let source = self.sources.borrow().get(event.token.index()).cloned().flatten();
        let Some(source) = source.filter(|source| source.token.get() == Some(event.token)) else {
            return [None; 2];
        };
        let mut tasks = [None; 2];
        let sides = [(Side::Read, event.readiness.readable), (Side::Write, event.readiness.writable)];
        for (task, (side, _)) in tasks.iter_mut().zip(sides).filter(|(_, (_, ready))| *ready) {
            *task = self.ready_side(&source, side);
        }
        tasks
    }

    fn ready_side(&self, source: &Rc<Source>, side: Side) -> Option<TaskId> {
        let direction = source.direction(side);
        direction.promising.set(true);
        let only_task = {
            let mut waiters = direction.waiters.borrow_mut();
            match waiters.as_slice() {
                [Waiter::Task(home, id)] if std::ptr::eq(&raw const **home, self) => {
                    let id = *id;
                    let home = waiters.pop();
                    drop(waiters);
                    // Never the last of it: it runs.
                    drop(home);
                    Some(id)
                }
                _ => None,
            }
        };
        if let Some(id) = only_task {
            self.io_waiting.set(self.io_waiting.get() - 1);
            if side == Side::Write {
                source.unwatch(self, side);
            }
            return Some(id);
        }
        let callback = direction.callback.borrow().clone();
        let waiters = direction.waiters.take();
        self.io_waiting.set(self.io_waiting.get() - waiters.len());
        if callback.is_none() && (waiters.is_empty() || side == Side::Write) {
            source.unwatch(self, side);
        }
        for waiter in waiters {
            waiter.wake();
        }
        if let Some(callback) = callback {
            let outer = context::enter(callback.context.clone());
            contain(|| {
                // One that removes itself while it runs is kept by our clone; one that runs already is not nested.
                if let Ok(mut call) = callback.call.try_borrow_mut() {
                    call();
                }
            });
            drop(context::enter(outer));
        }
        None
    }

    pub(crate) fn add_callback(self: &Rc<Self>, fd: RawFd, side: Side, call: Box<dyn FnMut()>) -> Result<()> {
        let known =
            usize::try_from(fd).ok().and_then(|place| self.sources.borrow().get(place).cloned().flatten());
        let source = known.unwrap_or_else(|| Source::new(fd));
        source.watch(self, side).map_err(|source| {
            crate::Error::System(ourio_engine::Error::System { operation: "epoll_ctl", source })
        })?;
        let callback = Rc::new(Callback { context: context::current(), call: RefCell::new(call) });
        let before = source.direction(side).callback.replace(Some(callback));
        self.io_waiting.set(self.io_waiting.get() + usize::from(before.is_none()));
        Ok(())
    }

    pub(crate) fn remove_callback(&self, fd: RawFd, side: Side) -> bool {
        let known =
            usize::try_from(fd).ok().and_then(|place| self.sources.borrow().get(place).cloned().flatten());
        let Some(source) = known else { return false };
        let removed = source.direction(side).callback.take().is_some();
        if removed {
            self.io_waiting.set(self.io_waiting.get() - 1);
            if source.direction(side).is_idle() {
                source.unwatch(self, side);
            }
            if source.reading.is_idle() && source.writing.is_idle() {
                source.leave();
            }
        }
        removed
    }
}

/// What every type has that wraps a descriptor of the standard library.
macro_rules! wrapper {
    ($type:ident, $std:ty) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.evented.fmt(f)
            }
        }

        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.evented.io().as_fd()
            }
        }

        impl TryFrom<$std> for $type {
            type Error = std::io::Error;

            /// Takes one of the standard library over.
            fn try_from(std: $std) -> std::io::Result<Self> {
                std.set_nonblocking(true)?;
                Ok(Self { evented: $crate::reactor::Evented::new(std) })
            }
        }
    };
}

pub(crate) use wrapper;

/// Writes everything, piece by piece.
pub(crate) async fn write_all(
    mut data: &[u8],
    mut write: impl FnMut(&Context<'_>, &[u8]) -> Poll<io::Result<usize>>,
) -> io::Result<()> {
    std::future::poll_fn(|context| {
        while !data.is_empty() {
            let written = ready!(write(context, data))?;
            data = &data[written..];
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Something with a descriptor, and the loop's knowledge of it. Unwatched before it is closed.
pub(crate) struct Evented<S> {
    source: Rc<Source>,
    io: S,
}

impl<S: fmt::Debug> fmt::Debug for Evented<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

impl<S> Drop for Evented<S> {
    fn drop(&mut self) {
        self.source.leave();
    }
}

impl<S: AsFd> Evented<S> {
    /// Of something that does not block.
    pub(crate) fn new(io: S) -> Self {
        Self { source: Source::new(io.as_fd().as_raw_fd()), io }
    }

    pub(crate) fn io(&self) -> &S {
        &self.io
    }

    /// Tries a call, waits for as long as it would block, and tries again.
    pub(crate) fn poll_io<T>(
        &self,
        side: Side,
        context: &Context<'_>,
        mut call: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let direction = self.source.direction(side);
        loop {
            if !direction.promising.get() {
                return match self.source.wait(side, context) {
                    Ok(()) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error)),
                };
            }
            match call(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => direction.promising.set(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// As [`Evented::poll_io`], for a read from a stream: one that does not fill its buffer has taken all there was.
    pub(crate) fn poll_read(
        &self,
        context: &Context<'_>,
        buffer: &mut [u8],
        mut read: impl FnMut(&S, &mut [u8]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let got = ready!(self.poll_io(Side::Read, context, |io| read(io, buffer)))?;
        if got < buffer.len() {
            // More, or the end, is reported by the level.
            self.source.reading.promising.set(got == 0);
        }
        Poll::Ready(Ok(got))
    }

    /// As [`Evented::poll_io`], for a write to a stream.
    pub(crate) fn poll_write(
        &self,
        context: &Context<'_>,
        data: &[u8],
        mut write: impl FnMut(&S, &[u8]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_io(Side::Write, context, |io| write(io, data))
    }

    /// Waits until a side is ready, whatever is known.
    pub(crate) async fn readiness(&self, side: Side) -> io::Result<()> {
        let mut asked = false;
        std::future::poll_fn(|context| {
            let direction = self.source.direction(side);
            if !asked {
                asked = true;
                direction.promising.set(false);
            }
            if direction.promising.get() {
                return Poll::Ready(Ok(()));
            }
            match self.source.wait(side, context) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }
}
