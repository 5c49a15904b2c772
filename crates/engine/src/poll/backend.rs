//! The backends behind one face, chosen when an engine is made: the side that changes, the side that waits, and the bell
//! by which another thread ends a wait.

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use super::epoll::{Epoll, EpollWaiter};
use super::events::{EVENTS_MAX, EventBuffer};
use super::interest::{Interest, WAKE_KEY};
use super::scripted::{ScriptHandle, Scripted};

/// The changing side of a backend, owned by the loop's thread.
#[derive(Debug)]
pub(crate) enum Backend {
    Epoll(Epoll),
    Scripted(Scripted),
}

impl Backend {
    pub(super) fn add(&mut self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.add(fd, key, interest),
            Self::Scripted(script) => script.add(fd, key, interest),
        }
    }

    /// Watches for one event, whatever the set knows of the number.
    pub(super) fn arm(&mut self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.arm(fd, key, interest),
            Self::Scripted(script) => script.arm(fd, key, interest),
        }
    }

    pub(super) fn modify(&mut self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.modify(fd, key, interest),
            Self::Scripted(script) => script.add(fd, key, interest),
        }
    }

    pub(super) fn delete(&mut self, fd: RawFd) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.delete(fd),
            Self::Scripted(script) => {
                script.delete(fd);
                Ok(())
            }
        }
    }

    pub(crate) fn waiter(&self) -> Waiter {
        match self {
            Self::Epoll(epoll) => Waiter::Epoll(epoll.waiter()),
            Self::Scripted(script) => Waiter::Scripted(script.handle()),
        }
    }

    /// A set of this process's own in place of one that was inherited; a script is memory, and so is its own.
    pub(super) fn renew(&mut self, bell: &Bell) -> io::Result<()> {
        if let (Self::Epoll(epoll), Bell::Eventfd(fd)) = (&mut *self, bell) {
            let renewed = Epoll::new()?;
            renewed.add_edge(fd.as_fd(), WAKE_KEY)?;
            *epoll = renewed;
        }
        Ok(())
    }

    pub(crate) fn bell(&self) -> io::Result<Bell> {
        match self {
            Self::Epoll(epoll) => {
                let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
                let fd = eventfd(0, flags)?;
                epoll.add_edge(fd.as_fd(), WAKE_KEY)?;
                Ok(Bell::Eventfd(fd))
            }
            Self::Scripted(script) => Ok(Bell::Script(script.handle())),
        }
    }
}

/// The waiting side of a backend: `Send`, so that a host may wait with its own locks released.
#[derive(Debug)]
pub(crate) enum Waiter {
    Epoll(EpollWaiter),
    Scripted(ScriptHandle),
}

impl Waiter {
    /// Waits until something is reported, a wake-up, a signal, or `timeout` has passed (`None`: for ever).
    pub(crate) fn wait(&self, events: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        match self {
            Self::Epoll(waiter) => waiter.wait(events, timeout),
            Self::Scripted(script) => {
                script.wait(events, timeout, EVENTS_MAX);
                Ok(())
            }
        }
    }
}

/// Ends a wait from another thread. Ringing is one system call, and is safe in a signal handler.
#[derive(Debug)]
pub(crate) enum Bell {
    Eventfd(OwnedFd),
    Script(ScriptHandle),
}

impl Bell {
    pub(crate) fn ring(&self) {
        match self {
            // EAGAIN means that the counter is full, so that the waiter has been told often enough; no
            // other error can happen to a descriptor that we own.
            Self::Eventfd(fd) => drop(rustix::io::write(fd, &1u64.to_ne_bytes())),
            Self::Script(script) => script.wake(),
        }
    }
}
