//! Adaptive spinning: staying awake for another thread that is about to be done.
//!
//! To sleep, and to be woken on another processor, takes longer than many a job that a thread is given: some 25
//! microseconds each way on a virtual machine. So who waits for one looks around for about as long as that would take,
//! if it was worth it the last times, and sleeps only then.

use std::hint;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Events, Wait};
use crate::error::Result;
use crate::inbox::Remote;

/// For so long a thread stays awake at most: what sleeping and being woken may take.
pub const SPIN_MAX: Duration = Duration::from_micros(50);

/// After so many failures in a row it is tried no less often: once in 256 times.
const MISSES_MAX: u32 = 8;
/// Pauses of the processor between two looks: less than a look at the clock takes.
const PAUSES: u32 = 8;

/// On one processor, who stays awake is in the way of the thread that it waits for.
static HAS_OTHERS: LazyLock<bool> =
    LazyLock::new(|| thread::available_parallelism().is_ok_and(|processors| processors.get() > 1));

/// Looks around until something is so; `false` if it was not within [`SPIN_MAX`].
pub fn spin_until(mut is_so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() >= SPIN_MAX {
            return false;
        }
        for _ in 0..PAUSES {
            hint::spin_loop();
        }
    }
    true
}

/// Whether it was worth it to stay awake, the last times. Each failure in a row doubles the times that it is not tried.
///
/// # Threads
///
/// May be asked and told by several at once; what one of them has told may then be lost.
#[derive(Debug, Default)]
pub struct AdaptiveSpin {
    misses: AtomicU32,
    pause: AtomicU32,
}

impl AdaptiveSpin {
    /// Whether to stay awake this time; never, if this process has one processor.
    pub fn tries(&self) -> bool {
        *HAS_OTHERS && self.is_due()
    }

    fn is_due(&self) -> bool {
        let pause = self.pause.load(Ordering::Relaxed);
        self.pause.store(pause.saturating_sub(1), Ordering::Relaxed);
        pause == 0
    }

    /// Carries out an engine's wait while jobs of other threads are under way: awake for a moment, if that was worth it of
    /// late, and then asleep. Also tells whether it was worth it this time: whether a thread has ended the wait in time.
    ///
    /// # Errors
    ///
    /// As [`Wait::block`].
    pub fn block<C>(
        &self,
        wait: Wait,
        remote: &Remote<C>,
        is_under_way: impl Fn() -> bool,
    ) -> Result<(Events, bool)> {
        if !wait.may_sleep() || !is_under_way() || !self.tries() {
            return Ok((wait.block()?, false));
        }
        let began = Instant::now();
        let events = wait.block_after(|| is_under_way() && began.elapsed() < SPIN_MAX)?;
        // What came of a descriptor is no thread's.
        let good = !remote.is_asleep() && began.elapsed() < SPIN_MAX;
        self.was(good);
        Ok((events, good))
    }

    /// What became of it.
    pub fn was(&self, good: bool) {
        let misses = if good { 0 } else { (self.misses.load(Ordering::Relaxed) + 1).min(MISSES_MAX) };
        self.misses.store(misses, Ordering::Relaxed);
        self.pause.store((1 << misses) - 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_luck_tries_less_and_less_often_and_who_has_it_tries_again() {
        let luck = AdaptiveSpin::default();
        let tried: Vec<u32> = (0..2000)
            .filter(|_| {
                let tries = luck.is_due();
                if tries {
                    luck.was(false);
                }
                tries
            })
            .collect();
        assert_eq!(tried, [0, 2, 6, 14, 30, 62, 126, 254, 510, 766, 1022, 1278, 1534, 1790]);
        luck.was(true);
        assert!(luck.is_due());
        assert!(luck.is_due());
    }

    #[test]
    fn nobody_stays_awake_for_what_does_not_come() {
        assert!(spin_until(|| true));
        assert!(!spin_until(|| false));
    }
}
