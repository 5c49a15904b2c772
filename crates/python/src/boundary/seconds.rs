//! Python's seconds and the engine's nanoseconds.

use ourio_engine::Time;

/// Seconds as `time.monotonic()` gives them.
#[expect(clippy::cast_precision_loss, reason = "as Python: 53 bits are 104 days of nanoseconds")]
pub(crate) fn seconds(time: Time) -> f64 {
    time.as_nanos() as f64 / 1e9
}

/// Seconds as whole nanoseconds; the past and NaN are 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is 0")]
pub(crate) fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// A deadline in whole nanoseconds, rounded up so that no timer is early. Beyond what fits it never
/// comes; the past and NaN are due at once, as `max(0, when - now)` makes them in asyncio.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is 0")]
pub(crate) fn deadline(when: f64) -> Time {
    Time::from_nanos((when * 1e9).ceil() as u64)
}
