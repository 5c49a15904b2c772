//! Descriptors that tasks and callbacks of a loop wait for.
//!
//! Level-triggered: once somebody has waited for a side, its interest stays with the kernel, so that a connection that
//! reads, answers and reads again costs no `epoll_ctl`. An event that finds nobody waiting takes the interest back
//! (the level would be reported at every turn); writing is watched only while somebody waits for it.
//!
//! What has been learned about a side is kept: after a read that did not fill its buffer nothing is asked of the
//! kernel until it has reported more.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::RawFd;
use std::rc::{Rc, Weak};
use std::task::Context;

use ourio_engine::{Interest, IoEvent, Token};

use crate::context;
use crate::scheduling::Scheduler;
use crate::table::{TaskId, Waits};
use crate::waiters::Waiter;

/// A side of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}

/// The descriptors of one loop, by number.
pub(crate) struct Descriptors {
    scheduler: Rc<Scheduler>,
    sources: RefCell<Vec<Option<Rc<Source>>>>,
    /// Tasks and callbacks that wait for a descriptor.
    waiting: Cell<usize>,
}

/// What a loop knows of a descriptor.
pub(crate) struct Source {
    fd: RawFd,
    /// The loop that it was waited for on last.
    home: RefCell<Weak<Descriptors>>,
    token: Cell<Option<Token>>,
    interest: Cell<Interest>,
    reading: Direction,
    writing: Direction,
}

struct Direction {
    /// Whether a call may be worth its while.
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
    pub(super) fn new(fd: RawFd) -> Rc<Self> {
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

    /// Whether a call on a side may be worth its while: nobody has heard otherwise since its last event.
    pub(super) fn is_promising(&self, side: Side) -> bool {
        self.direction(side).promising.get()
    }

    /// What a call on a side has shown.
    pub(super) fn learn(&self, side: Side, promising: bool) {
        self.direction(side).promising.set(promising);
    }

    /// Has the next event of a side wake whoever polls with this context.
    pub(super) fn wait(
        self: &Rc<Self>,
        home: &Rc<Descriptors>,
        side: Side,
        context: &Context<'_>,
    ) -> ourio_engine::Result<()> {
        self.watch(home, side)?;
        let waits = || match side {
            Side::Read => Waits::Readable(self.fd),
            Side::Write => Waits::Writable(self.fd),
        };
        let waiter = Waiter::of(context, waits);
        let mut waiters = self.direction(side).waiters.borrow_mut();
        let earlier = waiters.iter_mut().find(|earlier| earlier.is_same(&waiter));
        match earlier {
            Some(earlier) => *earlier = waiter,
            None => {
                waiters.push(waiter);
                home.waiting.set(home.waiting.get() + 1);
            }
        }
        Ok(())
    }

    /// Has the kernel report a side, to a loop.
    fn watch(self: &Rc<Self>, home: &Rc<Descriptors>, side: Side) -> ourio_engine::Result<()> {
        let before = self.home.borrow().as_ptr();
        if before != Rc::as_ptr(home) {
            // The first time, or on another loop than before.
            self.leave();
            self.home.replace(Rc::downgrade(home));
        }
        let mut interest = self.interest.get();
        match side {
            Side::Read => interest.readable = true,
            Side::Write => interest.writable = true,
        }
        if interest == self.interest.get() && self.token.get().is_some() {
            return Ok(());
        }
        let mut engine = home.scheduler.engine.borrow_mut();
        match self.token.get() {
            None => self.token.set(Some(engine.watch(self.fd, interest)?)),
            Some(token) => engine.rewatch(token, interest)?,
        }
        drop(engine);
        self.interest.set(interest);
        home.keep(self);
        Ok(())
    }

    fn unwatch(&self, home: &Descriptors, side: Side) {
        let mut interest = self.interest.get();
        match side {
            Side::Read => interest.readable = false,
            Side::Write => interest.writable = false,
        }
        if let Some(token) = self.token.get()
            && interest != self.interest.get()
        {
            // A number that was closed behind our back is out of the kernel's set already.
            let _ = home.scheduler.engine.borrow_mut().rewatch(token, interest);
            self.interest.set(interest);
        }
    }

    /// Ends everything that a loop knows of the descriptor: before it is closed.
    pub(super) fn leave(&self) {
        let home = self.home.take().upgrade();
        self.interest.set(Interest::NONE);
        if let (Some(home), Some(token)) = (home, self.token.take()) {
            home.scheduler.engine.borrow_mut().unwatch(token);
            let waiting = self.reading.waiters.take().len() + self.writing.waiters.take().len();
            home.waiting.set(home.waiting.get() - waiting - self.callbacks());
            let kept = home.sources.borrow_mut().get_mut(token.index()).and_then(|kept| {
                // The number may be another's by now.
                if kept.as_ref().is_some_and(|kept| std::ptr::eq(&raw const **kept, self)) {
                    kept.take()
                } else {
                    None
                }
            });
            drop(kept);
        }
    }

    fn callbacks(&self) -> usize {
        let one = |direction: &Direction| usize::from(direction.callback.borrow().is_some());
        one(&self.reading) + one(&self.writing)
    }
}

impl Descriptors {
    pub(super) fn new(scheduler: Rc<Scheduler>) -> Rc<Self> {
        Rc::new(Self { scheduler, sources: RefCell::default(), waiting: Cell::new(0) })
    }

    /// Whether a task or a callback waits for any of them.
    pub(super) fn are_awaited(&self) -> bool {
        self.waiting.get() > 0
    }

    pub(super) fn take_all(&self) -> impl Sized + use<> {
        self.sources.take()
    }

    fn keep(&self, source: &Rc<Source>) {
        let place = usize::try_from(source.fd).unwrap_or(0);
        let mut sources = self.sources.borrow_mut();
        if sources.len() <= place {
            sources.resize_with(place + 1, || None);
        }
        let before = sources[place].replace(Rc::clone(source));
        drop(sources);
        drop(before);
    }

    fn find(&self, fd: RawFd) -> Option<Rc<Source>> {
        usize::try_from(fd).ok().and_then(|place| self.sources.borrow().get(place).cloned().flatten())
    }

    /// A descriptor has become ready: its callbacks run, and the tasks that wait for it are to.
    pub(crate) fn deliver(&self, event: IoEvent) -> [Option<TaskId>; 2] {
        let source = self.sources.borrow().get(event.token.index()).cloned().flatten();
        let Some(source) = source.filter(|source| source.token.get() == Some(event.token)) else {
            return [None; 2];
        };
        let mut tasks = [None; 2];
        let sides = [(Side::Read, event.readiness.readable), (Side::Write, event.readiness.writable)];
        for (task, (side, _)) in tasks.iter_mut().zip(sides).filter(|(_, (_, ready))| *ready) {
            *task = self.deliver_side(&source, side);
        }
        tasks
    }

    fn deliver_side(&self, source: &Rc<Source>, side: Side) -> Option<TaskId> {
        let direction = source.direction(side);
        direction.promising.set(true);
        let only_task = {
            let mut waiters = direction.waiters.borrow_mut();
            match waiters.as_slice() {
                [Waiter::Task(home, id)] if Rc::ptr_eq(home, &self.scheduler) => {
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
            self.waiting.set(self.waiting.get() - 1);
            if side == Side::Write {
                source.unwatch(self, side);
            }
            return Some(id);
        }
        let callback = direction.callback.borrow().clone();
        let waiters = direction.waiters.take();
        self.waiting.set(self.waiting.get() - waiters.len());
        if callback.is_none() && (waiters.is_empty() || side == Side::Write) {
            source.unwatch(self, side);
        }
        for waiter in waiters {
            waiter.wake();
        }
        if let Some(callback) = callback {
            context::contain_in(callback.context.clone(), || {
                // One that removes itself while it runs is kept by our clone; one that runs already is not nested.
                if let Ok(mut call) = callback.call.try_borrow_mut() {
                    call();
                }
            });
        }
        None
    }

    pub(crate) fn add_callback(
        self: &Rc<Self>,
        fd: RawFd,
        side: Side,
        call: Box<dyn FnMut()>,
    ) -> ourio_engine::Result<()> {
        let source = self.find(fd).unwrap_or_else(|| Source::new(fd));
        source
            .watch(self, side)
            .map_err(|error| ourio_engine::Error::System { operation: "epoll_ctl", source: as_io(error) })?;
        let callback = Rc::new(Callback { context: context::current(), call: RefCell::new(call) });
        let before = source.direction(side).callback.replace(Some(callback));
        self.waiting.set(self.waiting.get() + usize::from(before.is_none()));
        Ok(())
    }

    pub(crate) fn remove_callback(&self, fd: RawFd, side: Side) -> bool {
        let Some(source) = self.find(fd) else { return false };
        let removed = source.direction(side).callback.take().is_some();
        if removed {
            self.waiting.set(self.waiting.get() - 1);
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

/// An engine's refusal as the error of an I/O call; the kernel's code is kept.
pub(crate) fn as_io(error: ourio_engine::Error) -> io::Error {
    match error {
        ourio_engine::Error::System { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}
