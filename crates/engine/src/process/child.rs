//! Reaping children: by pidfd, or on SIGCHLD where the kernel has none.
//!
//! A pidfd becomes readable when its process has exited, so one child is one watched descriptor, and no
//! other library's children are touched. Without pidfds (before Linux 5.3, or forbidden by a sandbox)
//! each watched child is asked for on every SIGCHLD; `waitpid(-1)` is never used, as it would steal
//! the exit of children that somebody else waits for.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitOptions, pidfd_open, waitid, waitpid};

use super::signal::SignalPipe;
use crate::error::{Error, Misuse, Result};
use crate::poll::{Interest, Purpose, Registry, Token};

/// Names a watched child. Unique for the life of the engine, unlike the process identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(u64);

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Somebody else has reaped it, so its status cannot be known.
    Unknown,
}

/// Whether pidfds may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reaping {
    #[default]
    Pidfd,
    Signal,
}

/// The children that one engine watches.
#[derive(Debug, Default)]
pub(crate) struct Children {
    /// Those that have not been seen to end.
    living: BTreeMap<ChildId, Child>,
    reaping: Reaping,
    next_id: u64,
}

#[derive(Debug)]
struct Child {
    pid: Pid,
    /// `None`: asked for on SIGCHLD. The registration ends before the descriptor closes.
    pidfd: Option<(Token, OwnedFd)>,
}

impl Children {
    pub(crate) fn new(reaping: Reaping) -> Self {
        Self { living: BTreeMap::new(), reaping, next_id: 0 }
    }

    /// Watches a child of this process.
    pub(crate) fn watch(
        &mut self,
        pid: i32,
        registry: &mut Registry,
        signals: &mut SignalPipe,
    ) -> Result<ChildId> {
        // `Pid::from_raw` asserts that the number is not negative.
        let positive = (pid > 0).then_some(pid).and_then(Pid::from_raw);
        let pid = positive.ok_or(Error::Misuse(Misuse::Process(pid)))?;
        let pidfd = match self.open(pid)? {
            Some(fd) => {
                let token = registry.watch(fd.as_raw_fd(), Interest::READ, Purpose::Child)?;
                Some((token, fd))
            }
            None => {
                signals.listen(libc::SIGCHLD)?;
                // It may have exited before anybody listened.
                signals.writer().raise(libc::SIGCHLD);
                None
            }
        };
        let id = ChildId(self.next_id);
        self.next_id += 1;
        self.living.insert(id, Child { pid, pidfd });
        Ok(id)
    }

    /// Stops watching; the child is not reaped.
    pub(crate) fn unwatch(&mut self, id: ChildId, registry: &mut Registry) -> bool {
        let Some(child) = self.living.remove(&id) else { return false };
        if let Some((token, _fd)) = &child.pidfd {
            registry.unwatch(*token);
        }
        true
    }

    /// Reaps the child whose pidfd is readable.
    pub(crate) fn reap_by_token(&mut self, token: Token, registry: &mut Registry) -> Option<(ChildId, Exit)> {
        let (&id, child) = self
            .living
            .iter()
            .find(|(_, child)| child.pidfd.as_ref().is_some_and(|(own, _)| *own == token))?;
        let exit = child.try_reap()?;
        self.unwatch(id, registry);
        Some((id, exit))
    }

    /// Reaps what has exited among the children without a pidfd.
    pub(crate) fn reap_by_signal(&mut self) -> Vec<(ChildId, Exit)> {
        let exited: Vec<_> = self
            .living
            .iter()
            .filter(|(_, child)| child.pidfd.is_none())
            .filter_map(|(&id, child)| child.try_reap().map(|exit| (id, exit)))
            .collect();
        for (id, _) in &exited {
            self.living.remove(id);
        }
        exited
    }

    /// `None`: this machine has no pidfds, or the host asked to do without.
    fn open(&self, pid: Pid) -> Result<Option<OwnedFd>> {
        if self.reaping == Reaping::Signal {
            return Ok(None);
        }
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOSYS | Errno::PERM) => Ok(None),
            Err(errno) => Err(Error::system("pidfd_open")(errno)),
        }
    }
}

impl Child {
    /// Returns how the child ended, or `None` while it lives.
    fn try_reap(&self) -> Option<Exit> {
        match &self.pidfd {
            Some((_, fd)) => {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
                match waitid(WaitId::PidFd(fd.as_fd()), options) {
                    Ok(status) => {
                        status.map(|status| exit(status.exit_status(), status.terminating_signal()))
                    }
                    Err(_) => Some(Exit::Unknown),
                }
            }
            None => match waitpid(Some(self.pid), WaitOptions::NOHANG) {
                Ok(status) => {
                    status.map(|(_, status)| exit(status.exit_status(), status.terminating_signal()))
                }
                Err(_) => Some(Exit::Unknown),
            },
        }
    }
}

fn exit(code: Option<i32>, signal: Option<i32>) -> Exit {
    match (code, signal) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}
