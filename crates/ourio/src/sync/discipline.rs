//! In which order a queue gives what it was given: first in first out, last in first out, smallest first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// In which order a queue gives what it was given.
pub trait Discipline<T>: Default {
    /// Puts an item in.
    fn put(&mut self, item: T);
    /// Takes the next item out.
    fn get(&mut self) -> Option<T>;
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Takes everything out.
    fn clear(&mut self);
}

/// First in, first out.
#[derive(Debug)]
pub struct Fifo<T>(VecDeque<T>);

/// Last in, first out.
#[derive(Debug)]
pub struct Lifo<T>(Vec<T>);

/// The smallest first.
#[derive(Debug)]
pub struct Lowest<T>(BinaryHeap<Reverse<T>>);

macro_rules! discipline {
    ($type:ident, $new:expr, $put:ident, $wrap:expr, $get:ident, $unwrap:expr $(, $bound:ident)?) => {
        impl<T $(: $bound)?> Default for $type<T> {
            fn default() -> Self {
                Self($new)
            }
        }

        impl<T $(: $bound)?> Discipline<T> for $type<T> {
            fn put(&mut self, item: T) {
                self.0.$put($wrap(item));
            }

            fn get(&mut self) -> Option<T> {
                self.0.$get().map($unwrap)
            }

            fn len(&self) -> usize {
                self.0.len()
            }

            fn clear(&mut self) {
                self.0.clear();
            }
        }
    };
}

discipline!(Fifo, VecDeque::new(), push_back, std::convert::identity, pop_front, |item| item);
discipline!(Lifo, Vec::new(), push, std::convert::identity, pop, |item| item);
discipline!(Lowest, BinaryHeap::new(), push, Reverse, pop, |Reverse(item)| item, Ord);
