//! What the C library's heap keeps of the memory that is freed.
//!
//! glibc gives an allocation of 128 KiB or more pages of its own, which go back to the kernel when it is freed, and gives
//! back what is free at the heap's end once that is twice as much. Both limits grow with the largest such allocation
//! that a program has ever freed. A message of 256 KiB that passes through three objects is at the limits that it has
//! set itself, so that the kernel took and zeroed all its pages again each time: 57 page faults per message of a stream,
//! and half of the time.

use std::hint::black_box;

/// As glibc's limit for pages of their own; up to twice as much then stays at the heap's end.
const LARGE_BYTES: usize = 4 * 1024 * 1024;

/// Lets messages of any usual size live in the heap.
///
/// It does what a program does that reads a file of this size: it allocates once, and frees. No page is touched. Whoever
/// sets a limit by glibc's own means, such as `MALLOC_TRIM_THRESHOLD_`, keeps it; other allocators need nothing.
pub(crate) fn keep_large_blocks() {
    let mut block = Vec::<u8>::new();
    // Where there is not so much, nothing is changed.
    let _ = block.try_reserve_exact(LARGE_BYTES);
    drop(black_box(block));
}
