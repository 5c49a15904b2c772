//! The epoll backend: level-triggered, sub-millisecond where the kernel has `epoll_pwait2`.
//!
//! The host's descriptors come as bare numbers: Python lets a program watch any integer, and lets it close
//! one behind our back. `epoll_ctl` is safe on any number, as it answers `EBADF` for one that is not
//! open; that is the only thing done with them here.
#![expect(
    unsafe_code,
    reason = "bare descriptor numbers, and one system call that rustix cannot probe at run time"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll as raw;
use rustix::io::Errno;

use super::events::EventBuffer;
use super::interest::Interest;

/// The changing side of an epoll set.
#[derive(Debug)]
pub struct Epoll {
    set: Arc<OwnedFd>,
    precision: Precision,
}

/// How finely a wait can be timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    /// `epoll_pwait2`, Linux 5.11.
    Nanoseconds,
    /// `epoll_wait`, rounded up, so that no timer is early.
    Milliseconds,
}

/// The waiting side.
#[derive(Debug)]
pub(crate) struct EpollWaiter {
    set: Arc<OwnedFd>,
    precision: Precision,
}

impl Epoll {
    /// Makes an epoll set and finds out how finely it can wait.
    ///
    /// # Errors
    ///
    /// The process or the system is out of descriptors, or out of memory.
    pub fn new() -> io::Result<Self> {
        let set = raw::create(raw::CreateFlags::CLOEXEC)?;
        // Old kernels answer ENOSYS, and some seccomp filters EPERM, to a call they do not know.
        let precision = match pwait2(set.as_fd(), &mut Vec::with_capacity(1), Duration::ZERO) {
            Ok(()) => Precision::Nanoseconds,
            Err(_) => Precision::Milliseconds,
        };
        Ok(Self { set: Arc::new(set), precision })
    }

    pub(super) fn add(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        let fd = bare(fd);
        match raw::add(&self.set, fd, raw::EventData::new_u64(key), interest.flags()) {
            // Closed while registered, kept alive by a duplicate, and the number used again.
            Err(Errno::EXIST) => {
                Ok(raw::modify(&self.set, fd, raw::EventData::new_u64(key), interest.flags())?)
            }
            outcome => Ok(outcome?),
        }
    }

    pub(super) fn modify(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        let fd = bare(fd);
        match raw::modify(&self.set, fd, raw::EventData::new_u64(key), interest.flags()) {
            // Closed while registered and the number used again: the new file is not in the set.
            Err(Errno::NOENT) => Ok(raw::add(&self.set, fd, raw::EventData::new_u64(key), interest.flags())?),
            outcome => Ok(outcome?),
        }
    }

    pub(super) fn arm(&self, fd: RawFd, key: u64, interest: Interest) -> io::Result<()> {
        let fd = bare(fd);
        let (data, flags) = (raw::EventData::new_u64(key), interest.flags() | raw::EventFlags::ONESHOT);
        match raw::modify(&self.set, fd, data, flags) {
            Err(Errno::NOENT) => Ok(raw::add(&self.set, fd, data, flags)?),
            outcome => Ok(outcome?),
        }
    }

    pub(super) fn delete(&self, fd: RawFd) -> io::Result<()> {
        match raw::delete(&self.set, bare(fd)) {
            // Closed while registered: epoll has forgotten it already.
            Err(Errno::NOENT | Errno::BADF) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// Watches a descriptor of ours edge-triggered, so that it need not be read to fall silent.
    pub(super) fn add_edge(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        let flags = raw::EventFlags::IN | raw::EventFlags::ET;
        Ok(raw::add(&self.set, fd, raw::EventData::new_u64(key), flags)?)
    }

    pub(super) fn waiter(&self) -> EpollWaiter {
        EpollWaiter { set: Arc::clone(&self.set), precision: self.precision }
    }
}

impl EpollWaiter {
    pub(super) fn wait(&self, events: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
        let outcome = match (timeout, self.precision) {
            (None, _) => wait_ms(self.set.as_fd(), events, -1),
            (Some(Duration::ZERO), _) => wait_ms(self.set.as_fd(), events, 0),
            (Some(timeout), Precision::Nanoseconds) => pwait2(self.set.as_fd(), events, timeout.min(LONGEST)),
            (Some(timeout), Precision::Milliseconds) => {
                let rounded_up = timeout.min(LONGEST).as_nanos().div_ceil(1_000_000);
                wait_ms(self.set.as_fd(), events, i32::try_from(rounded_up).unwrap_or(i32::MAX))
            }
        };
        match outcome {
            // A signal: the host looks after it, and the next turn waits again.
            Err(Errno::INTR) => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}

/// asyncio: `MAXIMUM_SELECT_TIMEOUT` is a day. It also fits the kernel's milliseconds in 32 bits.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

fn wait_ms(set: BorrowedFd<'_>, events: &mut EventBuffer, timeout_ms: i32) -> Result<(), Errno> {
    let room = events.spare_capacity_mut();
    let room_len = i32::try_from(room.len()).unwrap_or(i32::MAX);
    // SAFETY: `set` is open, and `room` is writable for `room_len` events.
    let count = unsafe { libc::epoll_wait(set.as_raw_fd(), room.as_mut_ptr().cast(), room_len, timeout_ms) };
    grow(events, count.into())
}

fn pwait2(set: BorrowedFd<'_>, events: &mut EventBuffer, timeout: Duration) -> Result<(), Errno> {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(i32::try_from(timeout.subsec_nanos()).unwrap_or(0)),
    };
    let room = events.spare_capacity_mut();
    let room_len = i32::try_from(room.len()).unwrap_or(i32::MAX);
    // SAFETY: `set` is open, `room` is writable for `room_len` events, `timeout` outlives the call, and a null signal mask is "no mask".
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            set.as_raw_fd(),
            room.as_mut_ptr(),
            room_len,
            &raw const timeout,
            std::ptr::null::<libc::sigset_t>(),
            size_of::<libc::sigset_t>(),
        )
    };
    grow(events, count)
}

/// Takes over the events that a system call has written, or its error.
fn grow(events: &mut EventBuffer, count: libc::c_long) -> Result<(), Errno> {
    let Ok(count) = usize::try_from(count) else {
        let error = io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::INVAL));
    };
    // SAFETY: the kernel has written `count` events behind the current length, no more than there was room.
    unsafe { events.set_len(events.len() + count) };
    Ok(())
}

fn bare(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the value is handed to `epoll_ctl` only, before this module returns. The kernel checks the
    // number; if it is not open, or is another file by now, the worst answer is an error or an event
    // under a generation that the registry drops. The number is not -1: the registry refuses negatives.
    unsafe { BorrowedFd::borrow_raw(fd) }
}
