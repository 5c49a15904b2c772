//! The flight recorder: the last things that a loop has done, in a ring of fixed size.
//!
//! A record is 24 bytes, and writing one is a few stores: no stack is taken, no text made. What a number means is kept
//! once per name. The oldest records are overwritten, and their number is known.

use std::collections::HashMap;
use std::time::Duration;

use ourio_engine::Time;

/// Names beyond so many are called "other".
const NAMES_MAX: usize = 8192;

/// What a record tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// A task ran until it had to wait.
    Step,
    /// A callback ran.
    Callback,
    /// A descriptor was ready, and its transport or reader ran.
    Io,
    /// A task was made ready by what ran then.
    Wake,
    /// A task was made by what ran then.
    Create,
    /// A job ran in another thread.
    Job,
    /// Garbage was collected.
    Collection,
}

/// A name that records refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name(u32);

/// A moment by some steady count: nanoseconds, or what is cheaper to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

/// What stamps mean: the line through two moments that are known by both counts.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    origin: (Stamp, Time),
    nanos_per_stamp: f64,
}

impl Scale {
    /// Stamps that are nanoseconds of the clock.
    pub const NANOS: Self = Self { origin: (Stamp(0), Time::ZERO), nanos_per_stamp: 1.0 };

    /// The line through two moments; the second is later.
    #[expect(clippy::cast_precision_loss, reason = "what f64 rounds is less than the clock's own error")]
    pub fn through(first: (Stamp, Time), second: (Stamp, Time)) -> Self {
        let stamps = second.0.0.saturating_sub(first.0.0).max(1);
        let nanos = second.1.saturating_since(first.1).as_nanos();
        Self { origin: first, nanos_per_stamp: nanos as f64 / stamps as f64 }
    }

    /// The time of a stamp.
    pub fn time(&self, stamp: Stamp) -> Time {
        Time::from_nanos(moved(self.origin.1.as_nanos(), stamp.0, self.origin.0.0, self.nanos_per_stamp))
    }

    /// The stamp of a time.
    pub fn stamp(&self, time: Time) -> Stamp {
        let nanos = self.origin.1.as_nanos();
        Stamp(moved(self.origin.0.0, time.as_nanos(), nanos, self.nanos_per_stamp.recip()))
    }
}

/// `base` and as much more, or less, as `to` is beyond `from`, at a rate.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a distance, not a time since the start of the machine"
)]
fn moved(base: u64, to: u64, from: u64, rate: f64) -> u64 {
    let distance = (to.abs_diff(from) as f64 * rate).round() as u64;
    if to >= from { base.saturating_add(distance) } else { base.saturating_sub(distance) }
}

/// One thing that was done.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// When it began.
    pub start: Time,
    /// When it ended; the same as its beginning of what has no length.
    pub end: Time,
    /// The task that it concerns, or the thread; 0 if none.
    pub subject: u32,
}

/// A record as it lies in the ring.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: Stamp,
    end: Stamp,
    name: u32,
    subject: u32,
}

/// The last records of one loop.
#[derive(Debug)]
pub struct Recorder {
    ring: Vec<Entry>,
    capacity: usize,
    /// How many records there have been.
    written: u64,
    names: Vec<(Activity, String)>,
    /// By which each of the names is found again.
    numbers: HashMap<(Activity, String), u32>,
    subjects: u32,
}

impl Recorder {
    /// A recorder that keeps so many records, at least one.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let mut recorder = Self {
            ring: Vec::with_capacity(capacity),
            capacity,
            written: 0,
            names: Vec::new(),
            numbers: HashMap::new(),
            subjects: 0,
        };
        // Number 0 is what a name becomes when there are too many.
        recorder.names.push((Activity::Callback, "other".to_owned()));
        recorder
    }

    /// The number of a name, which stays the same.
    pub fn name(&mut self, activity: Activity, text: &str) -> Name {
        if let Some(number) = self.numbers.get(&(activity, text.to_owned())) {
            return Name(*number);
        }
        if self.names.len() >= NAMES_MAX {
            return Name(0);
        }
        let number = u32::try_from(self.names.len()).unwrap_or(0);
        self.names.push((activity, text.to_owned()));
        self.numbers.insert((activity, text.to_owned()), number);
        Name(number)
    }

    /// A number for a task or a thread, used once.
    pub fn subject(&mut self) -> u32 {
        self.subjects = self.subjects.wrapping_add(1).max(1);
        self.subjects
    }

    /// Writes a record.
    #[inline]
    pub fn write(&mut self, name: Name, subject: u32, start: Stamp, end: Stamp) {
        let record = Entry { start, end, name: name.0, subject };
        if self.ring.len() < self.capacity {
            self.ring.push(record);
        } else {
            let place = usize::try_from(self.written % self.capacity as u64).unwrap_or(0);
            self.ring[place] = record;
        }
        self.written += 1;
    }

    /// How many records were overwritten.
    pub fn lost(&self) -> u64 {
        self.written - self.ring.len() as u64
    }

    /// The records, the oldest first, with what they are and their names.
    pub fn records(&self, scale: Scale) -> impl Iterator<Item = (Activity, &str, Record)> {
        let first = usize::try_from(self.written % self.capacity as u64).unwrap_or(0);
        let first = if self.ring.len() < self.capacity { 0 } else { first };
        let (newer, older) = self.ring.split_at(first);
        older.iter().chain(newer).map(move |entry| {
            let (activity, name) = &self.names[entry.name as usize];
            let (start, end) = (scale.time(entry.start), scale.time(entry.end));
            (*activity, name.as_str(), Record { start, end, subject: entry.subject })
        })
    }
}

impl Record {
    /// How long it took.
    pub fn length(&self) -> Duration {
        self.end.saturating_since(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_newest_in_order() {
        let mut recorder = Recorder::new(4);
        let name = recorder.name(Activity::Step, "main");
        for time in 0..10 {
            recorder.write(name, 1, Stamp(time), Stamp(time + 1));
        }
        let starts: Vec<_> =
            recorder.records(Scale::NANOS).map(|(.., record)| record.start.as_nanos()).collect();
        assert_eq!(starts, [6, 7, 8, 9]);
        assert_eq!(recorder.lost(), 6);
    }

    #[test]
    fn stamps_become_times_between_and_beside_the_two_that_are_known() {
        let second = 1_000_000_000;
        let known = |stamp, seconds| (Stamp(stamp), Time::from_nanos(seconds * second));
        let scale = Scale::through(known(5_000_000_000, 100), known(8_000_000_000, 101));
        for (stamp, nanos) in [
            (5_000_000_000, 100 * second),
            (6_500_000_000, 100 * second + second / 2),
            (8_000_000_000, 101 * second),
            (11_000_000_000, 102 * second),
            (2_000_000_000, 99 * second),
        ] {
            assert_eq!(scale.time(Stamp(stamp)).as_nanos(), nanos);
            assert_eq!(scale.stamp(Time::from_nanos(nanos)), Stamp(stamp));
        }
        let at_once = Scale::through(known(7, 3), known(7, 3));
        assert_eq!(at_once.time(Stamp(7)).as_nanos(), 3 * second);
    }

    #[test]
    fn a_name_is_kept_once_and_too_many_become_others() {
        let mut recorder = Recorder::new(1);
        let name = recorder.name(Activity::Step, "main");
        assert_eq!(recorder.name(Activity::Step, "main"), name);
        assert_ne!(recorder.name(Activity::Callback, "main"), name);
        for number in 0..2 * NAMES_MAX {
            recorder.name(Activity::Step, &number.to_string());
        }
        assert_eq!(recorder.names.len(), NAMES_MAX);
        let other = recorder.name(Activity::Step, "one more");
        recorder.write(other, 0, Stamp(0), Stamp(0));
        assert_eq!(
            recorder.records(Scale::NANOS).map(|(_, name, _)| name.to_owned()).collect::<Vec<_>>(),
            ["other"]
        );
    }
}
