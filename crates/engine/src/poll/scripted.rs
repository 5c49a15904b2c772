//! A poller whose descriptors are ready when a test says so: the test double of the contract.
//!
//! Descriptors are only numbers here; nothing is opened. Levels are kept, so it reports as epoll does.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::epoll as raw;

use super::events::EventBuffer;
use super::interest::{Interest, WAKE_KEY};

/// The changing side of a scripted poller.
#[derive(Debug, Default)]
pub struct Scripted {
    handle: ScriptHandle,
}

/// The test's side: says what is ready. Clones speak to the same poller, from any thread.
#[derive(Debug, Clone, Default)]
pub struct ScriptHandle {
    script: Arc<Script>,
}

#[derive(Debug, Default)]
struct Script {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What holds for each descriptor, whether watched or not.
    levels: BTreeMap<RawFd, raw::EventFlags>,
    registered: BTreeMap<RawFd, Registration>,
    woken: bool,
    waits: u64,
}

#[derive(Debug, Clone, Copy)]
struct Registration {
    key: u64,
    interest: Interest,
    /// Whether its first event ends it.
    once: bool,
}

impl Scripted {
    /// A poller on which nothing is ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// The handle through which a test says what is ready.
    pub fn handle(&self) -> ScriptHandle {
        self.handle.clone()
    }

    pub(super) fn add(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        self.insert(fd, Registration { key, interest, once: false })
    }

    pub(super) fn arm(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        self.insert(fd, Registration { key, interest, once: true })
    }

    fn insert(&self, fd: RawFd, registration: Registration) -> io::Result<()> {
        let mut state = self.handle.lock();
        if !state.levels.contains_key(&fd) {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        state.registered.insert(fd, registration);
        Ok(())
    }

    pub(super) fn delete(&self, fd: RawFd) {
        self.handle.lock().registered.remove(&fd);
    }
}

impl ScriptHandle {
    /// Opens a descriptor on which nothing is ready.
    pub fn open(&self, fd: RawFd) {
        self.set(fd, raw::EventFlags::empty());
    }

    /// Closes a descriptor; like epoll, the poller forgets it without a word.
    pub fn close(&self, fd: RawFd) {
        let mut state = self.lock();
        state.levels.remove(&fd);
        state.registered.remove(&fd);
    }

    /// Says whether a descriptor can be read and written.
    pub fn level(&self, fd: RawFd, level: Interest) {
        self.set(fd, level.flags());
    }

    /// Says that a descriptor's peer has hung up.
    pub fn hang_up(&self, fd: RawFd) {
        self.set(fd, raw::EventFlags::IN | raw::EventFlags::HUP);
    }

    /// How often the poller has been waited on.
    pub fn waits(&self) -> u64 {
        self.lock().waits
    }

    pub(super) fn wake(&self) {
        self.lock().woken = true;
        self.script.changed.notify_all();
    }

    pub(super) fn wait(&self, events: &mut EventBuffer, timeout: Option<Duration>, limit: usize) {
        let mut state = self.lock();
        state.waits += 1;
        let idle = |state: &mut State| !state.woken && state.ready().next().is_none();
        state = match timeout {
            Some(Duration::ZERO) => state,
            None => self.script.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let waited = self.script.changed.wait_timeout_while(state, timeout, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if std::mem::take(&mut state.woken) {
            events.push(event(WAKE_KEY, raw::EventFlags::IN));
        }
        let reported: Vec<_> = state.ready().take(limit - events.len()).collect();
        for (fd, event) in reported {
            if state.registered.get(&fd).is_some_and(|registration| registration.once) {
                state.registered.remove(&fd);
            }
            events.push(event);
        }
    }

    fn set(&self, fd: RawFd, flags: raw::EventFlags) {
        self.lock().levels.insert(fd, flags);
        self.script.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.script.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ready(&self) -> impl Iterator<Item = (RawFd, libc::epoll_event)> {
        let always = raw::EventFlags::HUP | raw::EventFlags::ERR;
        self.registered.iter().filter_map(move |(&fd, &Registration { key, interest, .. })| {
            let level = self.levels.get(&fd)?.intersection(interest.flags() | always);
            (!level.is_empty()).then(|| (fd, event(key, level)))
        })
    }
}

fn event(key: u64, flags: raw::EventFlags) -> libc::epoll_event {
    libc::epoll_event { events: flags.bits(), u64: key }
}
