//! The name of a task within its loop: a place in the table, and whose turn it is to have it.

use std::num::NonZeroU32;

/// Names a task of a loop. It stays unique when its place is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId {
    pub(crate) place: u32,
    /// Not zero, so that an `Option` of it is no larger.
    pub(crate) serial: NonZeroU32,
}

impl TaskId {
    pub(crate) fn packed(self) -> u64 {
        u64::from(self.place) << 32 | u64::from(self.serial.get())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the number is two halves of 32 bits")]
    pub(crate) fn unpacked(packed: u64) -> Self {
        Self {
            place: (packed >> 32) as u32,
            serial: NonZeroU32::new(packed as u32).unwrap_or(NonZeroU32::MIN),
        }
    }
}
