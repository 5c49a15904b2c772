//! Flow control: tells a protocol to pause when too much is buffered, and to resume when it has drained.
//!
//! asyncio: pause when the buffer grows *above* the high-water mark, resume when it has shrunk *to or
//! below* the low-water mark, each exactly once between the other.

use std::fmt;

/// What the protocol must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowChange {
    /// Call `pause_writing`.
    Pause,
    /// Call `resume_writing`.
    Resume,
}

/// The marks do not satisfy `high >= low`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsError {
    /// The high-water mark in bytes.
    pub high: usize,
    /// The low-water mark in bytes.
    pub low: usize,
}

impl fmt::Display for LimitsError {
    /// asyncio's own words, as users search for them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "high ({}) must be >= low ({}) must be >= 0", self.high, self.low)
    }
}

impl std::error::Error for LimitsError {}

/// The marks, and whether the protocol has been told to pause.
#[derive(Debug, Clone)]
pub struct FlowControl {
    high: usize,
    /// Always at most `high`.
    low: usize,
    paused: bool,
}

impl Default for FlowControl {
    fn default() -> Self {
        Self { high: Self::HIGH_DEFAULT, low: Self::HIGH_DEFAULT / 4, paused: false }
    }
}

impl FlowControl {
    /// 64 KiB; the low-water mark is a quarter of it. (uvloop's low mark is 16 *bytes* by a slip, which
    /// makes its writers wait for an empty buffer.)
    pub const HIGH_DEFAULT: usize = 64 * 1024;

    /// Sets the marks in bytes. A missing low mark is a quarter of the high one; a missing high mark is
    /// four times the low one, or 64 KiB.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] if the low mark is above the high one. The marks then stay as they were.
    pub fn set_limits(&mut self, high: Option<usize>, low: Option<usize>) -> Result<(), LimitsError> {
        let high = high.unwrap_or_else(|| low.map_or(Self::HIGH_DEFAULT, |low| low.saturating_mul(4)));
        let low = low.unwrap_or(high / 4);
        if low > high {
            return Err(LimitsError { high, low });
        }
        (self.high, self.low) = (high, low);
        Ok(())
    }

    /// The low and the high mark, in asyncio's order.
    pub fn limits(&self) -> (usize, usize) {
        (self.low, self.high)
    }

    /// The high-water mark in bytes.
    #[inline]
    pub fn high(&self) -> usize {
        self.high
    }

    /// The buffer has grown to `len` bytes.
    pub fn handle_growth(&mut self, len: usize) -> Option<FlowChange> {
        if len <= self.high || self.paused {
            return None;
        }
        self.paused = true;
        Some(FlowChange::Pause)
    }

    /// The buffer has shrunk to `len` bytes.
    pub fn handle_drain(&mut self, len: usize) -> Option<FlowChange> {
        if !self.paused || len > self.low {
            return None;
        }
        self.paused = false;
        Some(FlowChange::Resume)
    }

    /// Whether the protocol has been told to pause.
    pub fn is_paused(&self) -> bool {
        self.paused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_marks_are_asyncios() {
        let mut flow = FlowControl::default();
        assert_eq!(flow.limits(), (16 * 1024, 64 * 1024));
        flow.set_limits(None, Some(10)).expect("valid");
        assert_eq!(flow.limits(), (10, 40));
        flow.set_limits(Some(0), None).expect("valid");
        assert_eq!(flow.limits(), (0, 0));
        let refused = flow.set_limits(Some(1), Some(2)).expect_err("low above high");
        assert_eq!(refused.to_string(), "high (1) must be >= low (2) must be >= 0");
        assert_eq!(flow.limits(), (0, 0));
    }

    proptest! {
        #[test]
        fn pause_and_resume_alternate(lens in proptest::collection::vec(0usize..200, 0..100)) {
            let mut flow = FlowControl::default();
            flow.set_limits(Some(100), Some(25)).expect("valid");
            let mut expected = FlowChange::Pause;
            let mut before = 0;
            for len in lens {
                let change = if len > before { flow.handle_growth(len) } else { flow.handle_drain(len) };
                if let Some(change) = change {
                    prop_assert_eq!(change, expected);
                    let due = match change {
                        FlowChange::Pause => len > 100,
                        FlowChange::Resume => len <= 25,
                    };
                    prop_assert!(due);
                    expected = if change == FlowChange::Pause { FlowChange::Resume } else { FlowChange::Pause };
                }
                before = len;
            }
        }
    }
}
