//! The ready queue: one ring of entries, and the boundary of the current batch.
//!
//! asyncio: callbacks run first in, first out, and a callback that schedules another does not make the
//! current batch longer. The ring holds payloads by value; in the steady state it allocates nothing.

use std::collections::VecDeque;

use crate::schedule::Order;

/// Entries that may run, in order of arrival, split into the current batch and what came after it.
#[derive(Debug)]
pub struct ReadyQueue<C> {
    ring: VecDeque<C>,
    /// Entries at the front of `ring` that belong to the current batch. Always at most `ring.len()`.
    batch: usize,
}

/// Room that is never given back.
const KEPT: usize = 1 << 16;

impl<C> Default for ReadyQueue<C> {
    fn default() -> Self {
        Self { ring: VecDeque::new(), batch: 0 }
    }
}

impl<C> ReadyQueue<C> {
    /// Appends an entry behind all others.
    pub fn push(&mut self, entry: C) {
        self.ring.push_back(entry);
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
