//! The write queue: chunks in order, sent many at a time, cut wherever the kernel stops.

use std::collections::VecDeque;
use std::io::IoSlice;

/// Chunks that wait to be written.
///
/// It never copies or joins chunks; `B` is whatever keeps bytes alive and unchanged.
#[derive(Debug)]
pub struct WriteQueue<B> {
    /// No chunk is empty.
    chunks: VecDeque<B>,
    /// Bytes of the first chunk that have been written. Always less than its length.
    written: usize,
    /// Bytes that wait, over all chunks.
    len: usize,
}

impl<B> Default for WriteQueue<B> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), written: 0, len: 0 }
    }
}

impl<B: AsRef<[u8]>> WriteQueue<B> {
    /// Appends a chunk. An empty one is dropped: it could never be drained.
    pub fn push(&mut self, chunk: B) {
        let len = chunk.as_ref().len();
        if len > 0 {
            self.len += len;
            self.chunks.push_back(chunk);
        }
    }

    /// Fills `slices` with what waits, in order, and returns the part that was filled.
    pub fn fill<'queue, 'slices>(
        &'queue self,
        slices: &'slices mut [IoSlice<'queue>],
    ) -> &'slices [IoSlice<'queue>] {
        let mut filled = 0;
        let mut skip = self.written;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(&chunk.as_ref()[skip..]);
            skip = 0;
            filled += 1;
        }
        &slices[..filled]
    }

    /// The kernel has taken `count` bytes; more than wait counts as all of them.
    pub fn advance(&mut self, count: usize) {
        let mut count = count.min(self.len);
        self.len -= count;
        while let Some(first) = self.chunks.front() {
            let left = first.as_ref().len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.chunks.pop_front();
        }
    }

    /// Takes everything out.
    pub fn clear(&mut self) -> impl Iterator<Item = B> + use<B> {
        self.written = 0;
        self.len = 0;
        std::mem::take(&mut self.chunks).into_iter()
    }

    /// How many bytes wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Looks at the chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &B> {
        self.chunks.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is pushed comes out in order, whole, however the kernel cuts it.
        #[test]
        fn bytes_leave_in_order_however_they_are_cut(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..30),
            cuts in proptest::collection::vec(1usize..50, 1..300),
        ) {
            let mut queue = WriteQueue::default();
            chunks.iter().cloned().for_each(|chunk| queue.push(chunk));
            let mut sent = Vec::new();
            let mut cuts = cuts.into_iter().cycle();
            while !queue.is_empty() {
                let mut slices = [IoSlice::new(&[]); 4];
                let offered: Vec<u8> =
                    queue.fill(&mut slices).iter().flat_map(|slice| slice.iter().copied()).collect();
                prop_assert!(!offered.is_empty());
                let count = offered.len().min(cuts.next().unwrap_or(1));
                sent.extend_from_slice(&offered[..count]);
                queue.advance(count);
                prop_assert_eq!(queue.len() + sent.len(), chunks.iter().map(Vec::len).sum::<usize>());
            }
            prop_assert_eq!(sent, chunks.concat());
            prop_assert_eq!(queue.chunks().count(), 0);
        }
    }
}
