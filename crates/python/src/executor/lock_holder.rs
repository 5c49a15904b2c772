//! Handing the interpreter's lock over between threads of ours that do not sleep.
//!
//! A job of the default executor passes through two threads, and each waits for the other, awake for a moment
//! ([`ourio_engine::AdaptiveSpin`]): the worker for the next job, the loop for the result. But what it waits for is there before
//! the other has let go of the interpreter's lock, and who asks for a lock that is taken sleeps. So they say when they let
//! go of it, and who has stayed awake waits for that. It is a hint: threads that are not ours say nothing, and nobody
//! waits for long.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use ourio_engine::spin_until;
use pyo3::prelude::*;

/// The thread of ours that has the interpreter's lock, as far as is known; or none.
static HOLDER: AtomicUsize = AtomicUsize::new(0);

/// A number of this thread, which is not 0: where a variable of its own lies.
fn this_thread() -> usize {
    thread_local!(static PLACE: Cell<u8> = const { Cell::new(0) });
    PLACE.with(|place| std::ptr::from_ref(place).addr())
}

/// Waits for something without the interpreter's lock, and says so to the others.
pub(crate) fn without_the_lock<T: Send>(py: Python<'_>, wait: impl FnOnce() -> T + Send) -> T {
    let outcome = py.detach(|| {
        // It may be another's already, who has said so.
        let _ = HOLDER.compare_exchange(this_thread(), 0, Ordering::Release, Ordering::Relaxed);
        wait()
    });
    HOLDER.store(this_thread(), Ordering::Relaxed);
    outcome
}

/// Waits, without the lock, until the others of ours have let go of it.
pub(crate) fn until_free() {
    spin_until(|| HOLDER.load(Ordering::Acquire) == 0);
}
