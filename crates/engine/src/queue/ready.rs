//! The ready queue: one ring of entries, and the boundary of the current batch.
//!
//! asyncio: callbacks run first in, first out, and a callback that schedules another does not make the
//! current batch longer. The ring holds payloads by value; in the steady state it allocates nothing.

use std::collections::VecDeque;

use super::schedule::Order;

/// Entries that may run, in order of arrival, split into the current batch and what came after it.
#[derive(Debug)]
pub struct ReadyQueue<C> {
    ring: VecDeque<C>,
    /// Entries at the front of `ring` that belong to the current batch. Always at most `ring.len()`.
    batch: usize,
    /// How many entries there ever were.
    pushed: u64,
}

/// The place of an entry among all that were ever ready, in order of arrival. None comes twice within 2^48 entries.
///
/// Six bytes, of which hosts keep many. Two integers, as parts that are written apart and read together must be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(Rust, packed(2))]
pub struct Place {
    low: u32,
    high: u16,
}

impl Place {
    #[expect(clippy::cast_possible_truncation, reason = "the two parts of 48 bits")]
    fn new(number: u64) -> Self {
        Self { low: number as u32, high: (number >> 32) as u16 }
    }

    /// A number that no other place has.
    pub fn number(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

/// What a place's number has of the count.
const NUMBERS: u64 = (1 << 48) - 1;

/// Room that is never given back.
const KEPT: usize = 1 << 16;

impl<C> Default for ReadyQueue<C> {
    fn default() -> Self {
        Self { ring: VecDeque::new(), batch: 0, pushed: 0 }
    }
}

impl<C> ReadyQueue<C> {
    /// Appends an entry behind all others.
    pub fn push(&mut self, entry: C) {
        self.pushed = self.pushed.wrapping_add(1);
        self.ring.push_back(entry);
    }

    /// The place that the next entry will have.
    pub fn next_place(&self) -> Place {
        Place::new(self.pushed)
    }

    /// The entry of a place, if it is still here and nothing but the order of arrival was followed.
    pub fn at(&mut self, place: Place) -> Option<&mut C> {
        let number = self.pushed.wrapping_sub(place.number()) & NUMBERS;
        let from_the_back = usize::try_from(number).ok()?;
        self.ring.get_mut(self.ring.len().checked_sub(from_the_back)?)
    }

    /// Makes the current batch exactly the entries that are here.
    pub fn fix_batch(&mut self) {
        self.batch = self.ring.len();
        if self.ring.capacity() > KEPT && self.batch < KEPT / 2 {
            // What a burst has needed is given back once it is over.
            self.ring.shrink_to(KEPT);
        }
    }

    /// Takes the next entry of the batch, as `order` chooses; `None` once the batch is done.
    pub(crate) fn pop(&mut self, order: &mut Order) -> Option<C> {
        let last = self.batch.checked_sub(1)?;
        self.batch = last;
        let choice = order.choose(last + 1);
        if choice != 0 {
            self.ring.swap(0, choice);
        }
        self.ring.pop_front()
    }

    /// Takes the next entry of the batch in order of arrival; `None` once the batch is done.
    pub fn pop_fifo(&mut self) -> Option<C> {
        self.batch = self.batch.checked_sub(1)?;
        self.ring.pop_front()
    }

    /// How many entries are ready, in this batch or after it.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether nothing is ready.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Looks at every entry, in order, to change it.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut C> {
        self.ring.iter_mut()
    }

    /// Looks at every entry, in order.
    pub fn iter(&self) -> impl Iterator<Item = &C> {
        self.ring.iter()
    }

    /// Takes everything out, in order.
    pub fn drain(&mut self) -> Vec<C> {
        self.batch = 0;
        std::mem::take(&mut self.ring).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(u32),
        Fix,
        Pop,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![any::<u32>().prop_map(Step::Push), Just(Step::Fix), Just(Step::Pop)];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// The naive model: two lists, one for the batch and one for what came later.
        #[test]
        fn behaves_like_two_lists(steps in steps()) {
            let mut queue = ReadyQueue::default();
            let (mut batch, mut later) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Push(value) => {
                        queue.push(value);
                        later.push(value);
                    }
                    Step::Fix => {
                        queue.fix_batch();
                        batch.append(&mut later);
                    }
                    Step::Pop => {
                        let expected = (!batch.is_empty()).then(|| batch.remove(0));
                        prop_assert_eq!(queue.pop_fifo(), expected);
                    }
                }
                prop_assert_eq!(queue.len(), batch.len() + later.len());
            }
        }
    }

    proptest! {
        /// Whatever was pushed and taken before, across the ends of the numbers' parts.
        #[test]
        fn an_entry_is_found_by_its_place_until_it_is_taken(
            start in prop_oneof![Just(0), Just((1u64 << 32) - 20), Just((1 << 48) - 20), any::<u64>()],
            steps in steps(),
        ) {
            let mut queue = ReadyQueue { pushed: start, ..ReadyQueue::default() };
            let (mut here, mut taken) = (VecDeque::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Push(value) => {
                        here.push_back((queue.next_place(), value));
                        queue.push(value);
                    }
                    Step::Fix => queue.fix_batch(),
                    Step::Pop => {
                        if queue.pop_fifo().is_some() {
                            taken.extend(here.pop_front().map(|(place, _)| place));
                        }
                    }
                }
                for (place, value) in &here {
                    prop_assert_eq!(queue.at(*place).copied(), Some(*value));
                }
                prop_assert!(taken.iter().all(|place| queue.at(*place).is_none()));
                prop_assert_eq!(queue.at(queue.next_place()), None);
            }
        }
    }

    #[test]
    fn an_entry_pushed_during_a_batch_waits_for_the_next() {
        let mut queue = ReadyQueue::default();
        queue.push(1);
        queue.fix_batch();
        assert_eq!(queue.pop_fifo(), Some(1));
        queue.push(2);
        assert_eq!(queue.pop_fifo(), None);
        queue.fix_batch();
        assert_eq!(queue.pop_fifo(), Some(2));
    }

    #[test]
    fn what_a_burst_has_needed_is_given_back() {
        let mut queue = ReadyQueue::default();
        (0..1_000_000).for_each(|n| queue.push(n));
        queue.fix_batch();
        assert!(queue.ring.capacity() >= 1_000_000);
        assert_eq!(std::iter::from_fn(|| queue.pop_fifo()).count(), 1_000_000);
        queue.push(1);
        queue.fix_batch();
        assert!(queue.ring.capacity() <= 2 * KEPT);
        assert_eq!(queue.pop_fifo(), Some(1));
    }

    #[test]
    fn a_seeded_order_chooses_within_the_batch_only() {
        for seed in 0..64 {
            let mut order = Order::seeded(seed);
            let mut queue = ReadyQueue::default();
            (0..5).for_each(|n| queue.push(n));
            queue.fix_batch();
            queue.push(100);
            let mut seen: Vec<_> = std::iter::from_fn(|| queue.pop(&mut order)).collect();
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3, 4]);
            assert_eq!(queue.drain(), [100]);
        }
    }
}
