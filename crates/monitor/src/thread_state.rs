//! What the kernel says of a thread of this process: whether it runs, waits for a processor, or is in a system call.
//!
//! Source: proc(5), `/proc/self/task/TID/{stat,schedstat,syscall}`. A kernel may not have all of them, and a container may
//! hide some: what is not known is left open.

use std::fs;
use std::io;
use std::time::Duration;

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It runs, or is ready to.
    Running,
    /// It waits, and can be interrupted.
    Sleeping,
    /// It waits for a device.
    Device,
    /// It was stopped, by a signal or a debugger.
    Stopped,
    /// Something else, by the kernel's letter.
    Other(char),
}

/// A system call that a thread is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemCall {
    /// Its number, which depends on the architecture.
    pub number: i64,
    /// Its first argument: for most calls on descriptors, the descriptor.
    pub first: u64,
}

/// A thread at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadState {
    /// What it does.
    pub activity: Activity,
    /// How long it has run on a processor, in all.
    pub cpu: Option<Duration>,
    /// How long it has waited for a processor, in all.
    pub delayed: Option<Duration>,
    /// The system call that it is in; `None` also where the kernel does not tell.
    pub call: Option<SystemCall>,
}

impl ThreadState {
    /// Asks the kernel for a thread of this process.
    ///
    /// # Errors
    ///
    /// The kernel's: `NotFound` if there is no such thread (any more).
    pub fn read(thread: i32) -> io::Result<Self> {
        let folder = format!("/proc/self/task/{thread}");
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        let known = |name: &str| fs::read_to_string(format!("{folder}/{name}")).ok();
        let times = known("schedstat").and_then(|text| times(&text));
        Ok(Self {
            activity: activity(&stat),
            cpu: times.map(|(cpu, _)| cpu),
            delayed: times.map(|(_, delayed)| delayed),
            call: known("syscall").and_then(|text| call(&text)),
        })
    }
}

/// How long the calling thread has waited for a processor, in all; `None` where the kernel does not tell.
pub fn own_delay() -> Option<Duration> {
    times(&fs::read_to_string("/proc/thread-self/schedstat").ok()?).map(|(_, delayed)| delayed)
}

fn activity(stat: &str) -> Activity {
    // The name before it may hold anything, also parentheses.
    let letter = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?');
    match letter {
        'R' => Activity::Running,
        'S' => Activity::Sleeping,
        'D' => Activity::Device,
        'T' | 't' => Activity::Stopped,
        other => Activity::Other(other),
    }
}

fn times(schedstat: &str) -> Option<(Duration, Duration)> {
    let mut numbers = schedstat.split_whitespace().map(|number| number.parse().map(Duration::from_nanos));
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn call(syscall: &str) -> Option<SystemCall> {
    let mut parts = syscall.split_whitespace();
    // "running", or -1 for a thread that waits without a system call, as for a page.
    let number = parts.next()?.parse().ok().filter(|number| *number >= 0)?;
    let first = parts.next()?.trim_start_matches("0x");
    Some(SystemCall { number, first: u64::from_str_radix(first, 16).ok()? })
}

macro_rules! calls {
    ($($name:ident $kind:ident,)+) => {
        fn named(number: i64) -> Option<(&'static str, First)> {
            $(if number == libc::$name {
                return Some((stringify!($name).trim_start_matches("SYS_"), First::$kind));
            })+
            None
        }
    };
}

/// What the first argument of a call is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Descriptor,
    Else,
}

calls! {
    SYS_read Descriptor,
    SYS_readv Descriptor,
    SYS_pread64 Descriptor,
    SYS_write Descriptor,
    SYS_writev Descriptor,
    SYS_pwrite64 Descriptor,
    SYS_recvfrom Descriptor,
    SYS_recvmsg Descriptor,
    SYS_recvmmsg Descriptor,
    SYS_sendto Descriptor,
    SYS_sendmsg Descriptor,
    SYS_sendmmsg Descriptor,
    SYS_connect Descriptor,
    SYS_accept Descriptor,
    SYS_accept4 Descriptor,
    SYS_fsync Descriptor,
    SYS_fdatasync Descriptor,
    SYS_ftruncate Descriptor,
    SYS_fallocate Descriptor,
    SYS_flock Descriptor,
    SYS_fcntl Descriptor,
    SYS_ioctl Descriptor,
    SYS_getdents64 Descriptor,
    SYS_sendfile Descriptor,
    SYS_epoll_pwait Descriptor,
    SYS_epoll_pwait2 Descriptor,
    SYS_ppoll Else,
    SYS_pselect6 Else,
    SYS_nanosleep Else,
    SYS_clock_nanosleep Else,
    SYS_futex Else,
    SYS_wait4 Else,
    SYS_waitid Else,
    SYS_openat Else,
    SYS_unlinkat Else,
    SYS_statx Else,
    SYS_flistxattr Descriptor,
    SYS_sync Else,
    SYS_rt_sigtimedwait Else,
    SYS_getrandom Else,
    SYS_execve Else,
    SYS_semtimedop Else,
    SYS_msgrcv Else,
    SYS_mq_timedreceive Else,
    SYS_io_uring_enter Descriptor,
    SYS_io_getevents Else,
    SYS_sched_yield Else,
}

#[cfg(target_arch = "x86_64")]
fn of_this_architecture(number: i64) -> Option<(&'static str, First)> {
    let calls = [
        (libc::SYS_poll, "poll", First::Else),
        (libc::SYS_select, "select", First::Else),
        (libc::SYS_epoll_wait, "epoll_wait", First::Descriptor),
        (libc::SYS_open, "open", First::Else),
        (libc::SYS_stat, "stat", First::Else),
        (libc::SYS_pause, "pause", First::Else),
    ];
    calls.into_iter().find(|(known, ..)| *known == number).map(|(_, name, first)| (name, first))
}

#[cfg(not(target_arch = "x86_64"))]
fn of_this_architecture(_number: i64) -> Option<(&'static str, First)> {
    None
}

impl SystemCall {
    /// Its name, if it is one of those that programs wait in.
    pub fn name(&self) -> Option<&'static str> {
        named(self.number).or_else(|| of_this_architecture(self.number)).map(|(name, _)| name)
    }

    /// The descriptor that it is about, if it is about one.
    pub fn descriptor(&self) -> Option<i32> {
        let known = named(self.number).or_else(|| of_this_architecture(self.number));
        known.filter(|(_, first)| *first == First::Descriptor)?;
        i32::try_from(self.first).ok()
    }

    /// Whether it waits for another thread: a lock, a condition, the interpreter's own lock.
    pub fn is_lock(&self) -> bool {
        self.number == libc::SYS_futex
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_no_state() {
        assert_eq!(activity("12 (a) S (b)) R 1 2 3"), Activity::Running);
        assert_eq!(activity("12 (python) S 1"), Activity::Sleeping);
        assert_eq!(activity("nonsense"), Activity::Other('?'));
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_left_open() {
        assert_eq!(call("running"), None);
        assert_eq!(call("-1 0x7ffd 0x7f"), None);
        assert_eq!(call(""), None);
        assert_eq!(times("12"), None);
        assert_eq!(times("1000 2000 3"), Some((Duration::from_micros(1), Duration::from_micros(2))));
        let read =
            call(&format!("{} 0x5 0x7ffd 0x10 0x0 0x0 0x0 0x7ffd 0x7f", libc::SYS_read)).expect("a call");
        assert_eq!((read.name(), read.descriptor()), (Some("read"), Some(5)));
        assert!(ThreadState::read(i32::MAX).is_err());
    }
}
