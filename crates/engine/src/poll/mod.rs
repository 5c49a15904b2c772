//! Asking which descriptors are ready: one contract, several backends.
//!
//! The contract, which `tests/poll_contract.rs` runs on every backend:
//!
//! 1. Level-triggered: a condition is reported at every wait for as long as it holds and is watched.
//! 2. Only what is watched is reported. An error or a hang-up counts as both readable and writable, so
//!    that whoever watches either side meets it in its next read or write.
//! 3. A registration that watches nothing is silent, even on a hang-up (epoll itself would go on
//!    reporting that for ever).
//! 4. An event never reaches a registration other than the one that was watching when it happened: each
//!    registration has a generation, and events of an older one are dropped.
//! 5. A registration that is armed reports once, and is silent until it is armed again. Arming asks nothing of
//!    what was before: it also works on a number that was closed and used again behind the engine's back.
//! 6. A wake-up from any thread ends a wait, also one that came just before the wait began.
//!
//! Epoll's own surprises are kept here: a descriptor that was closed while registered has left the set
//! silently, and one that was closed and reused may still be in it under its old generation.

mod epoll;
mod registry;
mod scripted;

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, epoll as raw, eventfd};

pub use epoll::Epoll;
pub(crate) use registry::{Origin, Purpose, Registry};
pub use scripted::{ScriptHandle, Scripted};

/// What to watch a descriptor for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest {
    /// Report when a read would not block.
    pub readable: bool,
    /// Report when a write would not block.
    pub writable: bool,
}

impl Interest {
    /// Watches nothing; the registration stays.
    pub const NONE: Self = Self { readable: false, writable: false };
    /// Watches for reads.
    pub const READ: Self = Self { readable: true, writable: false };
    /// Watches for writes.
    pub const WRITE: Self = Self { readable: false, writable: true };
    /// Watches for both.
    pub const BOTH: Self = Self { readable: true, writable: true };

    /// Whether nothing is watched.
    pub const fn is_none(self) -> bool {
        !self.readable && !self.writable
    }

    fn flags(self) -> raw::EventFlags {
        let mut flags = raw::EventFlags::empty();
        flags.set(raw::EventFlags::IN, self.readable);
        flags.set(raw::EventFlags::OUT, self.writable);
        flags
    }
}

/// What a descriptor is ready for: never more than was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
}

impl Readiness {
    /// asyncio: `selectors.EpollSelector` counts every flag but `EPOLLIN` as writable and every flag but
    /// `EPOLLOUT` as readable, then keeps what was asked.
    fn of(flags: raw::EventFlags, interest: Interest) -> Self {
        Self {
            readable: interest.readable && !(flags - raw::EventFlags::OUT).is_empty(),
            writable: interest.writable && !(flags - raw::EventFlags::IN).is_empty(),
        }
    }
}

/// Names a registration. It stays unique when its descriptor's number is reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    fd: u32,
    generation: u32,
}

impl Token {
    /// The descriptor's number; a host can index its own table with it.
    pub const fn index(self) -> usize {
        self.fd as usize
    }

    fn key(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.fd)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the key is two halves of 32 bits")]
    fn from_key(key: u64) -> Self {
        Self { fd: key as u32, generation: (key >> 32) as u32 }
    }
}

/// A descriptor became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoEvent {
    /// Which registration.
    pub token: Token,
    /// Ready for what.
    pub readiness: Readiness,
}

/// The key under which the wake-up descriptor stands; no descriptor has the number `u32::MAX`.
const WAKE_KEY: u64 = u64::MAX;

/// The changing side of a backend, owned by the loop's thread.
#[derive(Debug)]
pub(crate) enum Backend {
    Epoll(Epoll),
    Scripted(Scripted),
}

impl Backend {
    fn add(&mut self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.add(fd, key, interest),
            Self::Scripted(script) => script.add(fd, key, interest),
        }
    }

    /// Watches for one event, whatever the set knows of the number.
    fn arm(&mut self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.arm(fd, key, interest),
            Self::Scripted(script) => script.arm(fd, key, interest),
        }
    }

    fn modify(&mut self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.modify(fd, key, interest),
            Self::Scripted(script) => script.add(fd, key, interest),
        }
    }

    fn delete(&mut self, fd: RawFd) -> io::Result<()> {
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
    fn renew(&mut self, bell: &Bell) -> io::Result<()> {
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
    Epoll(epoll::EpollWaiter),
    Scripted(ScriptHandle),
}

/// At most this many events are taken per turn; the rest is reported by the next, as the level is kept.
///
/// The kernel lists what is ready in order of arrival, so that who comes while a long list is worked through waits for
/// all of it, and then for those before it in the next. With short lists everybody waits about equally long: of a
/// hundred busy connections the slowest hundredth of answers came after 0.8 to 1.1 ms, with 1,024 at a time after 1.15;
/// of a thousand, after 9.5 and 12 ms. A turn of a busy server is short, too, so that timers stay on time.
const EVENTS_MAX: usize = 32;

/// Where a wait puts what it was told. It is moved between the engine and the wait, never copied.
///
/// The kernel's own layout as `libc` declares it: `rustix::event::epoll::Event` holds a union with a pointer,
/// which is not `Send`.
pub(crate) type EventBuffer = Vec<libc::epoll_event>;

pub(crate) fn event_buffer() -> EventBuffer {
    Vec::with_capacity(EVENTS_MAX)
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
