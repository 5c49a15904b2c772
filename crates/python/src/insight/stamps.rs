//! Time stamps for the flight recorder: the processor's own count where it can be trusted, else the clock.
//!
//! The recorder needs one stamp per callback. Reading the count takes a third of what reading the clock does, and that was
//! most of what recording cost. Whether it can be trusted, at one rate and the same on all processors, is the kernel's
//! judgement: it is, where the kernel makes its own clock of it.
#![expect(unsafe_code, reason = "the processor's count is read by an intrinsic")]

use ourio_engine::{Clock, Time};
use ourio_monitor::{Scale, Stamp};

/// A source of stamps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StampSource {
    counts: bool,
    began: (Stamp, Time),
}

impl StampSource {
    pub(crate) fn new() -> Self {
        let counts = has_trusted_count();
        Self { counts, began: both(counts) }
    }

    #[inline]
    pub(crate) fn now(self) -> Stamp {
        stamp(self.counts)
    }

    /// What the stamps mean, as far as is known by now.
    pub(crate) fn scale(self) -> Scale {
        if self.counts { Scale::through(self.began, both(true)) } else { Scale::NANOS }
    }
}

/// A moment by both counts.
fn both(counts: bool) -> (Stamp, Time) {
    (stamp(counts), Clock::Real.now())
}

#[inline]
fn stamp(counts: bool) -> Stamp {
    #[cfg(target_arch = "x86_64")]
    if counts {
        // SAFETY: every processor of this architecture has the instruction, and reading changes nothing.
        return Stamp(unsafe { std::arch::x86_64::_rdtsc() });
    }
    debug_assert!(!counts, "there is no other count");
    Stamp(Clock::Real.now().as_nanos())
}

fn has_trusted_count() -> bool {
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    cfg!(target_arch = "x86_64") && std::fs::read_to_string(source).is_ok_and(|name| name.trim() == "tsc")
}
