//! Where a task stands.

use std::fmt;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// It has not run yet.
    Created,
    /// It runs right now.
    Running,
    /// It waits.
    Suspended,
    /// It has returned.
    Finished,
    /// It was cancelled.
    Cancelled,
    /// It panicked.
    Panicked,
}

impl TaskState {
    /// Whether it is over, one way or another.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled | Self::Panicked)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
        })
    }
}
