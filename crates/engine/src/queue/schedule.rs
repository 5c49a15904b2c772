//! The schedule policy: which entry of a batch runs next, and the trace that can be replayed.
//!
//! FIFO is asyncio's order and the default; it costs one branch. A seeded policy permutes each batch, to
//! find programs that depend on an order that asyncio does not promise. Every choice of a policy other
//! than FIFO is recorded, so that the same order can be had again from a [`Trace`], which is text.

use std::fmt;
use std::str::FromStr;

/// How the next entry of a batch is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Schedule {
    /// In order of arrival, as asyncio does.
    #[default]
    Fifo,
    /// In an order drawn from this seed; the same seed gives the same order.
    Seeded(u64),
    /// In the order of an earlier run; in order of arrival once the trace is used up.
    Replay(Trace),
}

/// The choices of a run: for each entry with an alternative, its place in what was left of the batch.
///
/// Its text is the run lengths and places, separated by spaces, such as `0*12 3 1 0*4`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    choices: Vec<u32>,
}

impl Trace {
    /// How many choices were recorded.
    pub fn len(&self) -> usize {
        self.choices.len()
    }

    /// Whether there was never an alternative.
    pub fn is_empty(&self) -> bool {
        self.choices.is_empty()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for run in self.choices.chunk_by(|a, b| a == b) {
            match run.len() {
                1 => write!(f, "{gap}{}", run[0])?,
                length => write!(f, "{gap}{}*{length}", run[0])?,
            }
            gap = " ";
        }
        Ok(())
    }
}

/// A text that is not a trace; names the part that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParseError(String);

impl fmt::Display for TraceParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not PLACE or PLACE*COUNT", self.0)
    }
}

impl std::error::Error for TraceParseError {}

/// More choices than this in one run of equal ones is a damaged trace, not a program.
const RUN_MAX: usize = 1 << 28;

impl FromStr for Trace {
    type Err = TraceParseError;

    fn from_str(text: &str) -> Result<Self, TraceParseError> {
        let mut choices = Vec::new();
        for part in text.split_whitespace() {
            let damaged = || TraceParseError(part.to_owned());
            let (place, length) = part.split_once('*').unwrap_or((part, "1"));
            let place: u32 = place.parse().map_err(|_| damaged())?;
            let length: usize = length.parse().map_err(|_| damaged())?;
            if length > RUN_MAX {
                return Err(damaged());
            }
            choices.extend(std::iter::repeat_n(place, length));
        }
        Ok(Self { choices })
    }
}

/// Where a replayed run left its trace: the program is not the one that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divergence {
    /// Which choice of the trace could not be made.
    pub choice: usize,
    /// The place that the trace names.
    pub place: u32,
    /// How many entries there were to choose from.
    pub available: usize,
}

/// A policy at work.
#[derive(Debug)]
pub(crate) enum Order {
    Fifo,
    Seeded { state: u64, made: Trace },
    Replay { trace: Trace, position: usize, diverged: Option<Divergence> },
}

impl Order {
    pub(crate) fn new(schedule: Schedule) -> Self {
        match schedule {
            Schedule::Fifo => Self::Fifo,
            Schedule::Seeded(seed) => Self::seeded(seed),
            Schedule::Replay(trace) => Self::Replay { trace, position: 0, diverged: None },
        }
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded { state: seed, made: Trace::default() }
    }

    /// Chooses a place below `available`, which is at least one.
    #[inline]
    pub(crate) fn choose(&mut self, available: usize) -> usize {
        match self {
            Self::Fifo => 0,
            _ if available < 2 => 0,
            Self::Seeded { state, made } => {
                let bound = u32::try_from(available).unwrap_or(u32::MAX);
                let place = below(split_mix(state), bound);
                made.choices.push(place);
                place as usize
            }
            Self::Replay { trace, position, diverged } => {
                let Some(&place) = trace.choices.get(*position) else { return 0 };
                *position += 1;
                if (place as usize) < available && diverged.is_none() {
                    return place as usize;
                }
                diverged.get_or_insert(Divergence { choice: *position - 1, place, available });
                0
            }
        }
    }

    /// Whether entries are never moved.
    pub(crate) fn is_of_arrival(&self) -> bool {
        matches!(self, Self::Fifo)
    }

    pub(crate) fn trace(&self) -> Option<&Trace> {
        match self {
            Self::Fifo => None,
            Self::Seeded { made, .. } => Some(made),
            Self::Replay { trace, .. } => Some(trace),
        }
    }

    pub(crate) fn divergence(&self) -> Option<Divergence> {
        match self {
            Self::Replay { diverged, .. } => *diverged,
            Self::Fifo | Self::Seeded { .. } => None,
        }
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014). Written out because a seed printed by one release must give
/// the same order in the next, which no random-number crate promises.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Scales a random number to `0..bound` without division (Lemire 2019); its bias is below `bound / 2^32`.
fn below(random: u64, bound: u32) -> u32 {
    u32::try_from(((random >> 32) * u64::from(bound)) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_trace_survives_its_text(choices in proptest::collection::vec(0u32..4, 0..100)) {
            let trace = Trace { choices };
            prop_assert_eq!(trace.to_string().parse::<Trace>(), Ok(trace));
        }

        #[test]
        fn a_replay_makes_the_recorded_choices(seed: u64, batches in proptest::collection::vec(1usize..9, 0..50)) {
            let mut first = Order::seeded(seed);
            let made: Vec<_> = batches.iter().map(|&n| first.choose(n)).collect();
            prop_assert!(made.iter().zip(&batches).all(|(place, n)| place < n));
            let trace = first.trace().cloned().expect("a seeded order records");
            let mut second = Order::new(Schedule::Replay(trace));
            let again: Vec<_> = batches.iter().map(|&n| second.choose(n)).collect();
            prop_assert_eq!(made, again);
            prop_assert_eq!(second.divergence(), None);
        }
    }

    #[test]
    fn a_damaged_trace_is_refused() {
        for text in ["x", "1*", "*3", "-1", "1*99999999999999999999"] {
            assert!(text.parse::<Trace>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_replay_of_another_program_reports_where_it_diverged() {
        let mut order = Order::new(Schedule::Replay("1 7 0".parse().expect("a trace")));
        assert_eq!(order.choose(2), 1);
        assert_eq!(order.choose(3), 0);
        assert_eq!(order.divergence(), Some(Divergence { choice: 1, place: 7, available: 3 }));
        assert_eq!(order.choose(5), 0);
    }

    #[test]
    fn a_seed_gives_the_same_order_in_every_release() {
        let mut order = Order::seeded(42);
        let places: Vec<_> = (0..8).map(|_| order.choose(100)).collect();
        assert_eq!(places, [74, 15, 27, 34, 3, 86, 21, 80]);
    }
}
