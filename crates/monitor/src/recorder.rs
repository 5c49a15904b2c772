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

/// One thing that was done.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// When it began.
    pub start: Time,
    /// When it ended; the same as its beginning of what has no length.
    pub end: Time,
    /// What it was.
    name: u32,
    /// The task that it concerns, or the thread; 0 if none.
    pub subject: u32,
}

/// The last records of one loop.
#[derive(Debug)]
pub struct Recorder {
    ring: Vec<Record>,
    capacity: usize,
    /// How many records there have been.
    written: u64,
    names: Vec<(Activity, String)>,
    known: HashMap<(Activity, String), u32>,
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
            known: HashMap::new(),
            subjects: 0,
        };
        // Number 0 is what a name becomes when there are too many.
        recorder.names.push((Activity::Callback, "other".to_owned()));
        recorder
    }

    /// The number of a name, which stays the same.
    pub fn name(&mut self, activity: Activity, text: &str) -> Name {
        if let Some(number) = self.known.get(&(activity, text.to_owned())) {
            return Name(*number);
        }
        if self.names.len() >= NAMES_MAX {
            return Name(0);
        }
        let number = u32::try_from(self.names.len()).unwrap_or(0);
        self.names.push((activity, text.to_owned()));
        self.known.insert((activity, text.to_owned()), number);
        Name(number)
    }

    /// A number for a task or a thread, used once.
    pub fn subject(&mut self) -> u32 {
        self.subjects = self.subjects.wrapping_add(1).max(1);
        self.subjects
    }

    /// Writes a record.
    #[inline]
    pub fn write(&mut self, name: Name, subject: u32, start: Time, end: Time) {
        let record = Record { start, end, name: name.0, subject };
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
    pub fn records(&self) -> impl Iterator<Item = (Activity, &str, Record)> {
        let first = usize::try_from(self.written % self.capacity as u64).unwrap_or(0);
        let first = if self.ring.len() < self.capacity { 0 } else { first };
        let (newer, older) = self.ring.split_at(first);
        older.iter().chain(newer).map(|record| {
            let (activity, name) = &self.names[record.name as usize];
            (*activity, name.as_str(), *record)
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
            recorder.write(name, 1, Time::from_nanos(time), Time::from_nanos(time + 1));
        }
        let starts: Vec<_> = recorder.records().map(|(.., record)| record.start.as_nanos()).collect();
        assert_eq!(starts, [6, 7, 8, 9]);
        assert_eq!(recorder.lost(), 6);
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
        recorder.write(other, 0, Time::ZERO, Time::ZERO);
        assert_eq!(recorder.records().map(|(_, name, _)| name.to_owned()).collect::<Vec<_>>(), ["other"]);
    }
}
