//! What can go wrong in the engine: the caller's misuse, the system's refusal, a closed engine.

use std::fmt;
use std::io;

/// The result of an engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an engine call failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused; its code is kept and the operation is named.
    System {
        /// The system call or step, such as `epoll_ctl(ADD)`.
        operation: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The caller asked for something that can never work.
    Misuse(Misuse),
    /// The engine, or the pool, has been closed.
    Closed,
}

/// What the caller did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A descriptor number below zero.
    NegativeDescriptor(i32),
    /// A signal number that the kernel does not know, or that cannot be caught.
    Signal(i32),
    /// The token or identifier is not, or no longer, known.
    UnknownIdentifier,
    /// A process identifier that is not positive.
    Process(i32),
}

impl Error {
    /// Names the operation that the kernel refused.
    pub(crate) fn system(operation: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::System { operation, source: errno.into() }
    }

    /// Returns the kernel's error code, if the kernel was the one to refuse.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::System { source, .. } => source.raw_os_error(),
            Self::Misuse(_) | Self::Closed => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { operation, source } => write!(f, "{operation}: {source}"),
            Self::Misuse(misuse) => misuse.fmt(f),
            Self::Closed => f.write_str("the engine is closed"),
        }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NegativeDescriptor(fd) => write!(f, "descriptor {fd} is negative"),
            Self::Signal(number) => write!(f, "signal {number} cannot be caught"),
            Self::UnknownIdentifier => f.write_str("the identifier is not known"),
            Self::Process(pid) => write!(f, "process identifier {pid} is not positive"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            Self::Misuse(_) | Self::Closed => None,
        }
    }
}
