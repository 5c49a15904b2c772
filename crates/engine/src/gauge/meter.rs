//! The meter: how long a loop is away from the kernel, and how late its timers are, as distributions that any thread
//! may read.
//!
//! Both are measured with clock readings that a turn makes anyway, and only where the kernel is asked, which costs a
//! hundred times as much: so they are always on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets per doubling: a value is known to a quarter.
const STEPS: usize = 4;
const BUCKETS: usize = 64 * STEPS;

/// The distributions of one loop. Clones are the same ones.
///
/// # Threads
///
/// Readable from any thread at any moment, without a lock; written by the loop's own.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// How long the loop was busy between two looks at the kernel: for so long what arrived may have waited.
    pub delays: Histogram,
    /// How late timers were: the most overdue one of each turn.
    pub lags: Histogram,
}

/// A distribution of durations, in buckets of equal ratios.
#[derive(Clone)]
pub struct Histogram {
    buckets: Arc<[AtomicU64; BUCKETS]>,
}

/// A histogram at one moment.
#[derive(Clone)]
pub struct Distribution {
    buckets: Box<[u64; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: Arc::new([const { AtomicU64::new(0) }; BUCKETS]) }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").field("count", &self.read().count()).finish()
    }
}

impl fmt::Debug for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Distribution").field("count", &self.count()).finish()
    }
}

impl Histogram {
    /// Adds a duration in nanoseconds, which is what a turn has at hand. Only one thread may.
    #[inline]
    pub(crate) fn record(&self, nanos: u64) {
        let bucket = &self.buckets[place(nanos)];
        bucket.store(bucket.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// What it holds now.
    pub fn read(&self) -> Distribution {
        let mut buckets = Box::new([0; BUCKETS]);
        for (copy, bucket) in buckets.iter_mut().zip(self.buckets.iter()) {
            *copy = bucket.load(Ordering::Relaxed);
        }
        Distribution { buckets }
    }
}

impl Distribution {
    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The duration that a share of them does not exceed, to a quarter upwards; zero if there are none.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank of a share"
    )]
    pub fn quantile(&self, share: f64) -> Duration {
        let count = self.count();
        if count == 0 {
            return Duration::ZERO;
        }
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        for (place, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if seen >= rank {
                return Duration::from_nanos(end(place));
            }
        }
        Duration::MAX
    }

    /// The sum of them, to a quarter upwards.
    pub fn total(&self) -> Duration {
        let sum = self
            .buckets
            .iter()
            .enumerate()
            .fold(0u64, |sum, (place, count)| sum.saturating_add(count.saturating_mul(end(place))));
        Duration::from_nanos(sum)
    }

    /// How many do not exceed a duration, by whole buckets.
    pub fn up_to(&self, duration: Duration) -> u64 {
        let limit = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets
            .iter()
            .enumerate()
            .filter(|(place, _)| end(*place) <= limit)
            .map(|(_, count)| count)
            .sum()
    }

    /// What was added since an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut buckets = self.buckets.clone();
        for (bucket, before) in buckets.iter_mut().zip(earlier.buckets.iter()) {
            *bucket = bucket.saturating_sub(*before);
        }
        Self { buckets }
    }
}

/// The bucket of a value: its highest bit, and the two below.
#[inline]
fn place(nanos: u64) -> usize {
    let nanos = nanos.max(4);
    let high = nanos.ilog2();
    high as usize * STEPS + ((nanos >> (high - 2)) & 3) as usize
}

/// The largest value of a bucket.
fn end(place: usize) -> u64 {
    let (high, step) = (place / STEPS, (place % STEPS) as u64);
    if high < 2 {
        return 4;
    }
    let low = (4 + step) << (high - 2);
    low + ((1 << (high - 2)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_is_known_to_a_quarter() {
        for nanos in (4..5000).chain([1 << 20, (1 << 20) - 1, 1_000_000_007, u64::MAX / 3, u64::MAX]) {
            let end = end(place(nanos));
            assert!(end >= nanos && end - nanos <= nanos / 4, "{nanos} in a bucket that ends at {end}");
        }
    }

    #[test]
    fn quantiles_are_of_what_was_recorded_since() {
        let histogram = Histogram::default();
        histogram.record(1_000_000_000);
        let before = histogram.read();
        for millis in 1..=100 {
            histogram.record(millis * 1_000_000);
        }
        let since = histogram.read().since(&before);
        assert_eq!(since.count(), 100);
        let median = since.quantile(0.5);
        assert!(median >= Duration::from_millis(50) && median < Duration::from_millis(63), "{median:?}");
        assert!(since.quantile(1.0) < Duration::from_millis(126));
        assert_eq!(before.quantile(0.0), before.quantile(1.0));
        assert_eq!(Histogram::default().read().quantile(0.5), Duration::ZERO);
        assert!(since.up_to(Duration::from_millis(25)) >= 18);
        let total = since.total();
        assert!(total >= Duration::from_millis(5050) && total < Duration::from_millis(6313), "{total:?}");
    }
}
