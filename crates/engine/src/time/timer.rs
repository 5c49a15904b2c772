//! Timers: a 4-ary heap of deadlines over a slab of payloads.
//!
//! asyncio's programs cancel more than nineteen of twenty timers before they fire (every timeout that is
//! not reached), so cancelling is O(1): it empties the slab's slot and leaves the heap's key behind.
//! When more than half of the keys are such leftovers the heap is rebuilt, which costs O(1) per cancelled
//! timer. A heap of 16-byte keys with four children per node touches fewer cache lines than a binary
//! heap of pointers. Deadlines are whole nanoseconds; a timer never fires early, and ties fire in
//! order of creation (asyncio leaves ties to the heap; a defined order is what replay needs).

use std::num::NonZeroU32;

use super::clock::Time;

/// Names a timer. It stays unique after the timer has gone, so cancelling twice is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId {
    slot: u32,
    /// Not zero, so that an `Option` of it is no larger.
    generation: NonZeroU32,
}

/// The timers of one engine.
#[derive(Debug)]
pub struct Timers<C> {
    /// A 4-ary min-heap by (deadline, sequence). Holds one key per occupied or cancelled slot.
    heap: Vec<Key>,
    slots: Vec<Slot<C>>,
    /// Slots without a key in the heap, free to be used.
    free: Vec<u32>,
    /// Keys in the heap whose slot has been cancelled. Always at most `heap.len()`.
    cancelled: usize,
    /// Given to the next timer, to break ties.
    sequence: u32,
}

/// A deadline, the timer's age among those of the same one, and its slot, in this order of weight: one number, so that
/// comparing two takes no branch, which a processor could only guess at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

#[derive(Debug)]
struct Slot<C> {
    generation: NonZeroU32,
    payload: Option<C>,
}

/// The generation after this one; the first follows the last.
fn following(generation: NonZeroU32) -> NonZeroU32 {
    generation.checked_add(1).unwrap_or(NonZeroU32::MIN)
}

/// Below this size a rebuild saves nothing worth having (CPython's heap uses the same bound).
const COMPACTION_MIN: usize = 64;
const ARITY: usize = 4;

impl<C> Default for Timers<C> {
    fn default() -> Self {
        Self { heap: Vec::new(), slots: Vec::new(), free: Vec::new(), cancelled: 0, sequence: 0 }
    }
}

impl Key {
    #[inline]
    fn new(deadline: Time, sequence: u32, slot: u32) -> Self {
        Self(u128::from(deadline.as_nanos()) << 64 | u128::from(sequence) << 32 | u128::from(slot))
    }

    #[inline]
    const fn deadline(self) -> Time {
        Time::from_nanos((self.0 >> 64) as u64)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest quarter of it")]
    const fn slot(self) -> u32 {
        self.0 as u32
    }
}

impl<C> Timers<C> {
    /// Adds a timer that is due at `deadline`.
    pub fn insert(&mut self, deadline: Time, payload: C) -> TimerId {
        let slot = self.occupy(payload);
        self.heap.push(Key::new(deadline, self.sequence, slot));
        match self.sequence.checked_add(1) {
            Some(next) => self.sequence = next,
            None => self.renumber(),
        }
        self.sift_up(self.heap.len() - 1);
        TimerId { slot, generation: self.slots[slot as usize].generation }
    }

    /// Takes a timer's payload out, so that it never fires; `None` if it has fired or was cancelled.
    pub fn cancel(&mut self, id: TimerId) -> Option<C> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let payload = slot.payload.take()?;
        self.cancelled += 1;
        if self.cancelled * 2 > self.heap.len() && self.heap.len() > COMPACTION_MIN {
            self.compact();
        }
        Some(payload)
    }

    /// Whether a timer is waiting.
    pub fn contains(&self, id: TimerId) -> bool {
        let slot = self.slots.get(id.slot as usize);
        slot.is_some_and(|slot| slot.generation == id.generation && slot.payload.is_some())
    }

    /// Takes the earliest timer out if it is due at `now`.
    pub fn pop_due(&mut self, now: Time) -> Option<(Time, C)> {
        while let Some(first) = self.heap.first() {
            if self.slots[first.slot() as usize].payload.is_some() && first.deadline() > now {
                return None;
            }
            let key = self.pop_key()?;
            if let Some(payload) = self.vacate(key.slot()) {
                return Some((key.deadline(), payload));
            }
            self.cancelled -= 1;
        }
        None
    }

    /// The earliest deadline, if there is a timer.
    pub fn next_deadline(&mut self) -> Option<Time> {
        while let Some(first) = self.heap.first() {
            if self.slots[first.slot() as usize].payload.is_some() {
                return Some(first.deadline());
            }
            let key = self.pop_key()?;
            self.vacate(key.slot());
            self.cancelled -= 1;
        }
        None
    }

    /// How many timers are waiting.
    pub fn len(&self) -> usize {
        self.heap.len() - self.cancelled
    }

    /// Whether no timer is waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at every waiting payload, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &C> {
        self.slots.iter().filter_map(|slot| slot.payload.as_ref())
    }

    /// Takes everything out, in no particular order. Identifiers given before stay unknown.
    pub fn drain(&mut self) -> Vec<C> {
        self.heap.clear();
        self.cancelled = 0;
        self.free.clear();
        let mut payloads = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            slot.generation = following(slot.generation);
            payloads.extend(slot.payload.take());
            self.free.push(u32::try_from(index).unwrap_or(u32::MAX));
        }
        payloads
    }

    fn occupy(&mut self, payload: C) -> u32 {
        if let Some(index) = self.free.pop() {
            self.slots[index as usize].payload = Some(payload);
            return index;
        }
        let index = u32::try_from(self.slots.len())
            .expect("four thousand million timers need more memory than a machine has");
        self.slots.push(Slot { generation: NonZeroU32::MIN, payload: Some(payload) });
        index
    }

    /// Frees a slot whose key has left the heap.
    fn vacate(&mut self, index: u32) -> Option<C> {
        let slot = &mut self.slots[index as usize];
        slot.generation = following(slot.generation);
        self.free.push(index);
        slot.payload.take()
    }

    fn compact(&mut self) {
        let mut heap = std::mem::take(&mut self.heap);
        heap.retain(|key| {
            let live = self.slots[key.slot() as usize].payload.is_some();
            if !live {
                self.vacate(key.slot());
            }
            live
        });
        self.heap = heap;
        self.cancelled = 0;
        for index in (0..self.heap.len().div_ceil(ARITY)).rev() {
            self.sift_down(index);
        }
    }

    /// The ages begin again, in the same order: once in four thousand million timers.
    #[cold]
    fn renumber(&mut self) {
        self.heap.sort_unstable();
        for (sequence, key) in (0u32..).zip(&mut self.heap) {
            *key = Key::new(key.deadline(), sequence, key.slot());
        }
        // A sorted vector is a heap.
        self.sequence = u32::try_from(self.heap.len()).unwrap_or(u32::MAX);
    }

    fn pop_key(&mut self) -> Option<Key> {
        let last = self.heap.pop()?;
        let Some(&first) = self.heap.first() else { return Some(last) };
        // The last key belongs near the bottom: the gap is led all the way down, and the key then rises to its place. That
        // takes one comparison less per level than asking at each whether it may stay.
        let mut gap = 0;
        loop {
            let children = gap * ARITY + 1;
            let Some(&[a, b, c, d]) = self.heap.get(children..children + ARITY) else { break };
            let (left, left_at) = if b < a { (b, 1) } else { (a, 0) };
            let (right, right_at) = if d < c { (d, 3) } else { (c, 2) };
            let (least, at) = if right < left { (right, right_at) } else { (left, left_at) };
            self.heap[gap] = least;
            gap = children + at;
        }
        self.heap[gap] = last;
        self.sift_down(gap);
        self.sift_up(gap);
        Some(first)
    }

    fn sift_up(&mut self, mut index: usize) {
        let key = self.heap[index];
        while index > 0 {
            let parent = (index - 1) / ARITY;
            if key >= self.heap[parent] {
                break;
            }
            self.heap[index] = self.heap[parent];
            index = parent;
        }
        self.heap[index] = key;
    }

    fn sift_down(&mut self, mut index: usize) {
        let Some(&key) = self.heap.get(index) else { return };
        loop {
            let children = index * ARITY + 1;
            let end = (children + ARITY).min(self.heap.len());
            if children >= end {
                break;
            }
            let mut least = children;
            for child in children + 1..end {
                if self.heap[child] < self.heap[least] {
                    least = child;
                }
            }
            if self.heap[least] >= key {
                break;
            }
            self.heap[index] = self.heap[least];
            index = least;
        }
        self.heap[index] = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u64),
        Cancel(usize),
        Advance(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0u64..50).prop_map(Step::Insert),
            2 => any::<usize>().prop_map(Step::Cancel),
            1 => (0u64..8).prop_map(Step::Advance),
        ];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        /// The naive model: a list sorted by deadline and order of creation.
        #[test]
        fn behaves_like_a_sorted_list(steps in steps()) {
            let mut timers = Timers::default();
            let mut model: Vec<(u64, usize)> = Vec::new();
            let mut ids = Vec::new();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Insert(delay) => {
                        let name = ids.len();
                        ids.push(timers.insert(Time::from_nanos(now + delay), name));
                        let place = model.partition_point(|&(deadline, _)| deadline <= now + delay);
                        model.insert(place, (now + delay, name));
                    }
                    Step::Cancel(index) if !ids.is_empty() => {
                        let name = index % ids.len();
                        let place = model.iter().position(|&(_, other)| other == name);
                        let expected = place.map(|place| model.remove(place).1);
                        prop_assert_eq!(timers.contains(ids[name]), expected.is_some());
                        prop_assert_eq!(timers.cancel(ids[name]), expected);
                    }
                    Step::Cancel(_) => {}
                    Step::Advance(by) => {
                        now += by;
                        while model.first().is_some_and(|&(deadline, _)| deadline <= now) {
                            let (_, name) = model.remove(0);
                            prop_assert_eq!(timers.pop_due(Time::from_nanos(now)).map(|(_, name)| name), Some(name));
                        }
                        prop_assert_eq!(timers.pop_due(Time::from_nanos(now)), None);
                    }
                }
                prop_assert_eq!(timers.len(), model.len());
                let expected = model.first().map(|&(deadline, _)| Time::from_nanos(deadline));
                prop_assert_eq!(timers.next_deadline(), expected);
            }
        }
    }

    #[test]
    fn cancelled_timers_do_not_pile_up() {
        let mut timers = Timers::default();
        for round in 0..100_000u64 {
            let id = timers.insert(Time::from_nanos(1_000_000 + round), round);
            assert_eq!(timers.cancel(id), Some(round));
        }
        assert!(timers.is_empty());
        assert!(timers.heap.len() <= COMPACTION_MIN + 1, "{} keys left", timers.heap.len());
        assert!(timers.slots.len() <= COMPACTION_MIN + 2, "{} slots left", timers.slots.len());
    }

    #[test]
    fn ages_that_begin_again_keep_their_order() {
        let mut timers = Timers { sequence: u32::MAX - 5, ..Timers::default() };
        for number in 0..12u64 {
            timers.insert(Time::from_nanos(number % 2), number);
        }
        let order: Vec<_> =
            std::iter::from_fn(|| timers.pop_due(Time::NEVER)).map(|(_, number)| number).collect();
        assert_eq!(order, [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
    }

    #[test]
    fn an_old_identifier_does_not_reach_the_next_user_of_its_slot() {
        let mut timers = Timers::default();
        let first = timers.insert(Time::ZERO, "first");
        assert_eq!(timers.pop_due(Time::ZERO), Some((Time::ZERO, "first")));
        timers.insert(Time::ZERO, "second");
        assert_eq!(timers.cancel(first), None);
        assert_eq!(timers.pop_due(Time::ZERO), Some((Time::ZERO, "second")));
    }
}
