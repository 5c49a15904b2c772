//! Where the engine's time comes from: the kernel's monotonic clock, or a simulated one.
//!
//! Time is an integer count of nanoseconds. The real clock counts from the kernel's own origin, so that
//! a host can compare [`Time`] with any other reading of `CLOCK_MONOTONIC` (Python's `time.monotonic()`
//! is one). The simulated clock stands still while there is work and jumps to the next deadline when
//! there is none, so a program that sleeps for hours runs in milliseconds and always in the same order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A point in time: nanoseconds since the clock's origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The clock's origin; earlier than every reading.
    pub const ZERO: Self = Self(0);
    /// A deadline that never comes: 584 years after the origin.
    pub const NEVER: Self = Self(u64::MAX);

    /// A point `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This point moved later by `duration`; [`Time::NEVER`] where that does not fit.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// How long after `earlier` this point is; zero if it is not after it.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The clock that an engine reads.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The kernel's monotonic clock.
    #[default]
    Real,
    /// A clock that advances only when the engine has nothing left to do.
    Simulated(SimulatedClock),
}

impl Clock {
    /// Reads the clock.
    pub fn now(&self) -> Time {
        match self {
            Self::Real => monotonic(),
            Self::Simulated(clock) => clock.now(),
        }
    }

    /// The simulated clock, if this is one.
    pub const fn simulated(&self) -> Option<&SimulatedClock> {
        match self {
            Self::Real => None,
            Self::Simulated(clock) => Some(clock),
        }
    }
}

/// A clock for tests and for virtual time. Clones show the same time.
///
/// # Threads
///
/// Readable and settable from any thread. It never goes back.
#[derive(Debug, Clone, Default)]
pub struct SimulatedClock {
    nanos: Arc<AtomicU64>,
}

impl SimulatedClock {
    /// A clock that shows `start`.
    pub fn starting_at(start: Time) -> Self {
        Self { nanos: Arc::new(AtomicU64::new(start.0)) }
    }

    /// Reads the clock.
    pub fn now(&self) -> Time {
        Time(self.nanos.load(Ordering::Acquire))
    }

    /// Moves the clock to `time`, unless it is already later.
    pub fn advance_to(&self, time: Time) {
        self.nanos.fetch_max(time.0, Ordering::AcqRel);
    }

    /// Moves the clock forward by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.advance_to(self.now().saturating_add(duration));
    }
}

#[expect(clippy::cast_sign_loss, reason = "CLOCK_MONOTONIC never reads below zero: clock_gettime(2)")]
fn monotonic() -> Time {
    let now = clock_gettime(ClockId::Monotonic);
    Time(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_clock_never_goes_back() {
        let readings: Vec<_> = (0..1000).map(|_| Clock::Real.now()).collect();
        assert!(readings.is_sorted());
    }

    #[test]
    fn the_simulated_clock_never_goes_back() {
        let clock = SimulatedClock::starting_at(Time::from_nanos(10));
        clock.advance_to(Time::from_nanos(5));
        assert_eq!(clock.now(), Time::from_nanos(10));
        clock.advance(Duration::from_nanos(7));
        assert_eq!(clock.now(), Time::from_nanos(17));
    }

    #[test]
    fn a_deadline_that_does_not_fit_is_never() {
        assert_eq!(Time::from_nanos(1).saturating_add(Duration::MAX), Time::NEVER);
    }
}
