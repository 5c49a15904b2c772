//! What can go wrong: the program's misuse of a loop, a task that gave no result, a time that ran out.

use std::fmt;

use crate::insight::Deadlock;

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

/// A task or a future was cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cancelled {
    pub(crate) message: Option<String>,
}

impl Cancelled {
    /// What whoever cancelled it said.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "cancelled: {message}"),
            None => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Cancelled {}

/// A task panicked. The panic stayed inside of it; its message is here, and was printed by the panic hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked {
    pub(crate) message: String,
}

impl Panicked {
    pub(crate) fn new(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self { message: message.unwrap_or_else(|| "a panic without a text".to_owned()) }
    }

    /// The panic's text.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

impl std::error::Error for Panicked {}

/// Why a task gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// It was cancelled, or its loop was closed.
    Cancelled(Cancelled),
    /// It panicked.
    Panicked(Panicked),
}

impl TaskError {
    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled(cancelled) => cancelled.fmt(f),
            Self::Panicked(panicked) => panicked.fmt(f),
        }
    }
}

impl std::error::Error for TaskError {}

/// The time of a [`timeout`](crate::timeout) ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeoutError;

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time ran out")
    }
}

impl std::error::Error for TimeoutError {}
