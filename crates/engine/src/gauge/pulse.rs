//! The pulse: what another thread may read of a loop at any moment, to see whether it turns, rests, or is stuck in a turn.
//!
//! One number that the loop's thread stores once per turn. While it stays the same and does not rest, the same turn goes
//! on: whoever looks twice knows how long. Nothing is timed here, so that a turn costs one store more.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// A loop's pulse. Clones are the same one.
///
/// # Threads
///
/// Readable from any thread, also while the loop's own is blocked, without any lock.
#[derive(Debug, Clone)]
pub struct Pulse {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The number of the turn, and in the lowest bit whether the loop rests.
    beat: AtomicU64,
    /// The kernel's number of the thread that runs the loop, or did so last; zero before.
    thread: AtomicI32,
}

/// What a pulse was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat(u64);

impl Beat {
    /// Whether the loop sleeps in the kernel, or does not run.
    pub const fn is_resting(self) -> bool {
        self.0 & 1 == 1
    }

    /// A number that is the same for as long as the same turn goes on.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self { shared: Arc::new(Shared { beat: AtomicU64::new(1), thread: AtomicI32::new(0) }) }
    }
}

impl Pulse {
    /// The pulse now.
    pub fn beat(&self) -> Beat {
        Beat(self.shared.beat.load(Ordering::Relaxed))
    }

    /// The kernel's number of the thread that runs the loop; `None` if none has.
    pub fn thread(&self) -> Option<i32> {
        Some(self.shared.thread.load(Ordering::Relaxed)).filter(|thread| *thread != 0)
    }

    #[inline]
    pub(crate) fn turns(&self, turn: u64) {
        self.shared.beat.store(turn << 1, Ordering::Relaxed);
    }

    pub(crate) fn rests(&self, turn: u64) {
        self.shared.beat.store(turn << 1 | 1, Ordering::Relaxed);
    }

    pub(crate) fn runs_in(&self, thread: i32) {
        self.shared.thread.store(thread, Ordering::Relaxed);
    }
}
