//! What is asked of a descriptor, and what is told of it: in the words that hosts and all backends share.

use rustix::event::epoll as raw;

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

    pub(super) fn flags(self) -> raw::EventFlags {
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
    pub(super) fn of(flags: raw::EventFlags, interest: Interest) -> Self {
        Self {
            readable: interest.readable && !(flags - raw::EventFlags::OUT).is_empty(),
            writable: interest.writable && !(flags - raw::EventFlags::IN).is_empty(),
        }
    }
}

/// Names a registration. It stays unique when its descriptor's number is reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    pub(super) fd: u32,
    pub(super) generation: u32,
}

impl Token {
    /// The descriptor's number; a host can index its own table with it.
    pub const fn index(self) -> usize {
        self.fd as usize
    }

    pub(super) fn key(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.fd)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the key is two halves of 32 bits")]
    pub(super) fn from_key(key: u64) -> Self {
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
pub(super) const WAKE_KEY: u64 = u64::MAX;
