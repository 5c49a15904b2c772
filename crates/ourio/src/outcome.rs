//! How a task ends that gives no result: cancelled, or by a panic, which ends nothing else.
//!
//! What a loop itself can refuse is told by [`Error`](crate::Error).

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    pub(crate) fn new(payload: &(dyn Any + Send)) -> Self {
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
    /// Of a task whose body has panicked.
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        Self::Panicked(Panicked::new(payload))
    }

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

/// Calls what is the program's: a callback or a destructor, whose panic is the panic hook's to report and ends nothing
/// else.
pub(crate) fn contain(callback: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(callback)));
}
