//! Which descriptors are watched, for what, and by which generation.
//!
//! The table is indexed by the descriptor's number: descriptors are small and dense by POSIX's rule of the
//! lowest free number, so finding one is an index, and a new registration of a number naturally
//! supersedes the old one. That is what makes the reuse of a number harmless: the old token no longer
//! matches, so neither its events nor its owner's late clean-up can touch the new registration.

use std::io;
use std::os::fd::RawFd;

use rustix::event::epoll as raw;

use super::backend::{Backend, Bell};
use super::interest::{Interest, IoEvent, Readiness, Token, WAKE_KEY};
use super::scripted::Scripted;
use crate::error::{Error, Misuse, Result};

/// Whom an event of a registration concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The host: it becomes a payload.
    Host,
    /// The engine's own signal pipe.
    Signals,
    /// The engine's own watch over a child's pidfd.
    Child,
}

/// What an event turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Host(IoEvent),
    Signals,
    Child(Token),
    Wake,
    /// The registration had ended, or watches nothing by now.
    Stale,
}

#[derive(Debug)]
pub(crate) struct Registry {
    backend: Backend,
    /// Indexed by descriptor.
    entries: Vec<Entry>,
    registered: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    generation: u32,
    purpose: Purpose,
    /// `None`: the number is not registered.
    interest: Option<Interest>,
    trigger: Trigger,
}

/// How often a condition is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// At every wait for as long as it holds.
    Level,
    /// Once. Afterwards the number stays in the kernel's set, silent, with an interest in nothing here.
    Once,
}

impl Entry {
    const UNUSED: Self =
        Self { generation: 0, purpose: Purpose::Host, interest: None, trigger: Trigger::Level };
}

impl Registry {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, entries: Vec::new(), registered: 0 }
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Ends every registration and lets go of the kernel's set.
    pub(crate) fn close(&mut self) {
        // Nothing is open on a script, so that it refuses every later registration with EBADF.
        self.backend = Backend::Scripted(Scripted::new());
        self.entries.clear();
        self.registered = 0;
    }

    /// Moves every registration of the host's to a set of this process's own, after a `fork`.
    pub(crate) fn renew(&mut self, bell: &Bell) -> io::Result<()> {
        self.backend.renew(bell)?;
        for (number, entry) in self.entries.iter_mut().enumerate() {
            let Some(interest) = entry.interest else { continue };
            if entry.purpose != Purpose::Host {
                *entry = Entry { generation: entry.generation, ..Entry::UNUSED };
                self.registered -= 1;
            } else if let Ok(fd) = u32::try_from(number)
                && !interest.is_none()
            {
                let token = Token { fd, generation: entry.generation };
                // Closed between the fork and now: as one that is closed behind the engine's back.
                let _ = match entry.trigger {
                    Trigger::Level => self.backend.add(fd.cast_signed(), token.key(), interest),
                    Trigger::Once => self.backend.arm(fd.cast_signed(), token.key(), interest),
                };
            }
        }
        Ok(())
    }

    /// How many descriptors are registered, the engine's own included.
    pub(crate) fn len(&self) -> usize {
        self.registered
    }

    /// Registers a descriptor, superseding an earlier registration of the same number.
    pub(crate) fn watch(&mut self, fd: RawFd, interest: Interest, purpose: Purpose) -> Result<Token> {
        let number = u32::try_from(fd).map_err(|_| Error::Misuse(Misuse::NegativeDescriptor(fd)))?;
        let old = self.entries.get(number as usize).copied().unwrap_or(Entry::UNUSED);
        let token = Token { fd: number, generation: old.generation.wrapping_add(1) };
        if interest.is_none() {
            self.forget(fd, old);
        } else {
            let added = self.backend.add(fd, token.key(), interest);
            added.map_err(|source| Error::System { operation: "epoll_ctl(ADD)", source })?;
        }
        // Only a number that the kernel has accepted makes the table grow.
        if self.entries.len() <= number as usize {
            self.entries.resize(number as usize + 1, Entry::UNUSED);
        }
        self.registered += usize::from(old.interest.is_none());
        self.entries[number as usize] = Entry {
            generation: token.generation,
            purpose,
            interest: Some(interest),
            trigger: Trigger::Level,
        };
        Ok(token)
    }

    /// Watches for one event; a system call each time, so that nothing is believed about the number.
    pub(crate) fn arm(&mut self, token: Token, interest: Interest) -> Result<()> {
        let entry = self.live(token).ok_or(Error::Misuse(Misuse::UnknownIdentifier))?;
        entry.interest = Some(interest);
        entry.trigger = Trigger::Once;
        let armed = self.backend.arm(token.fd.cast_signed(), token.key(), interest);
        armed.map_err(|source| Error::System { operation: "epoll_ctl(MOD)", source })
    }

    /// Changes what is watched.
    pub(crate) fn rewatch(&mut self, token: Token, interest: Interest) -> Result<()> {
        let entry = self.live(token).ok_or(Error::Misuse(Misuse::UnknownIdentifier))?;
        let before = entry.interest.unwrap_or(Interest::NONE);
        let trigger = std::mem::replace(&mut entry.trigger, Trigger::Level);
        if before == interest && trigger == Trigger::Level {
            return Ok(());
        }
        entry.interest = Some(interest);
        let fd = token.fd.cast_signed();
        let (operation, outcome) = match (before.is_none() && trigger == Trigger::Level, interest.is_none()) {
            (true, _) => ("epoll_ctl(ADD)", self.backend.add(fd, token.key(), interest)),
            (false, true) => ("epoll_ctl(DEL)", self.backend.delete(fd)),
            (false, false) => ("epoll_ctl(MOD)", self.backend.modify(fd, token.key(), interest)),
        };
        outcome.map_err(|source| Error::System { operation, source })
    }

    /// Ends a registration; `false` if it had ended or was superseded.
    pub(crate) fn unwatch(&mut self, token: Token) -> bool {
        let Some(entry) = self.live(token) else { return false };
        let old = std::mem::replace(entry, Entry { generation: token.generation, ..Entry::UNUSED });
        self.registered -= 1;
        self.forget(token.fd.cast_signed(), old);
        true
    }

    /// What is watched under this token, if it is still registered.
    pub(crate) fn interest(&self, token: Token) -> Option<Interest> {
        let entry = self.entries.get(token.index())?;
        if entry.generation == token.generation { entry.interest } else { None }
    }

    /// Decodes an event and checks that its registration still wants it.
    pub(crate) fn origin(&mut self, event: libc::epoll_event) -> Origin {
        let key = event.u64;
        if key == WAKE_KEY {
            return Origin::Wake;
        }
        let token = Token::from_key(key);
        let Some(entry) = self.entries.get_mut(token.index()) else { return Origin::Stale };
        let (true, Some(interest)) = (entry.generation == token.generation, entry.interest) else {
            return Origin::Stale;
        };
        if entry.trigger == Trigger::Once {
            entry.interest = Some(Interest::NONE);
        }
        let readiness = Readiness::of(raw::EventFlags::from_bits_retain(event.events), interest);
        match entry.purpose {
            _ if readiness == Readiness::default() => Origin::Stale,
            Purpose::Host => Origin::Host(IoEvent { token, readiness }),
            Purpose::Signals => Origin::Signals,
            Purpose::Child => Origin::Child(token),
        }
    }

    fn live(&mut self, token: Token) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(token.index())?;
        (entry.generation == token.generation && entry.interest.is_some()).then_some(entry)
    }

    /// Takes a number out of the kernel's set, if it is in it.
    fn forget(&mut self, fd: RawFd, old: Entry) {
        let in_the_set = |interest: Interest| !interest.is_none() || old.trigger == Trigger::Once;
        if old.interest.is_some_and(in_the_set) {
            // The kernel has nothing to tell here: the descriptor is out of the set either way.
            let _ = self.backend.delete(fd);
        }
    }
}
