//! Why a loop could not do what it was asked: the program's misuse, the kernel's refusal, how the main future ended.
//!
//! How any other task ends is its joiner's matter: [`TaskError`](crate::TaskError).

use std::fmt;

use crate::insight::Deadlock;
use crate::outcome::{Cancelled, Panicked};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a loop could not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The loop is closed.
    Closed,
    /// A loop runs in this thread already; asyncio: "Cannot run the event loop while another loop is running".
    Running,
    /// The loop was stopped before the future that it was to run was done.
    Stopped,
    /// The kernel refused.
    System(ourio_engine::Error),
    /// The main future panicked.
    Panicked(Panicked),
    /// The main future was cancelled, as its task or by a signal.
    Cancelled(Cancelled),
    /// The main future and every task wait for what can never happen.
    Deadlock(Deadlock),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the event loop is closed"),
            Self::Running => f.write_str("an event loop is running in this thread already"),
            Self::Stopped => f.write_str("the event loop was stopped before the future was done"),
            Self::System(error) => error.fmt(f),
            Self::Panicked(panicked) => panicked.fmt(f),
            Self::Cancelled(cancelled) => cancelled.fmt(f),
            Self::Deadlock(deadlock) => deadlock.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ourio_engine::Error> for Error {
    fn from(error: ourio_engine::Error) -> Self {
        Self::System(error)
    }
}
