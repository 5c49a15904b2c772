//! Counters: plain integers that the loop's thread owns, and a page that any thread may read.
//!
//! Counting is an addition on the loop's own cache line. The numbers are copied to the page on every
//! turn that enters the kernel, which is at least every 64 turns, so a reader is never more than a few
//! microseconds of work behind and the turn that skips the poll pays nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What an engine has done since it was made.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        #[derive(Debug, Default)]
        struct Page {
            $($name: AtomicU64,)+
        }

        impl Page {
            fn store(&self, counters: &Counters) {
                $(self.$name.store(counters.$name, Ordering::Relaxed);)+
            }

            fn load(&self) -> Counters {
                Counters { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counters! {
    /// Turns begun.
    turns,
    /// Turns that asked the kernel for events.
    polls,
    /// Turns that were allowed to sleep in the kernel.
    sleeps,
    /// Nanoseconds between looks at the kernel: the time in which the loop ran what was ready.
    busy_ns,
    /// Entries handed out to run.
    ran,
    /// Descriptor events delivered.
    io_events,
    /// Descriptor events dropped because their registration had ended.
    stale_events,
    /// Timers that came due.
    timers_fired,
    /// Entries received from other threads.
    inbox_received,
    /// Signals delivered.
    signals,
    /// Children reaped.
    children,
    /// Entries that are ready now.
    ready,
    /// Timers that are waiting now.
    timers,
    /// Descriptors that are watched now.
    watched,
}

/// A view of an engine's counters for other threads.
///
/// # Threads
///
/// Clones and reads anywhere. Each number is exact as of the last publication; two numbers read
/// together may belong to two publications.
#[derive(Debug, Clone, Default)]
pub struct CountersPage {
    page: Arc<Page>,
}

impl CountersPage {
    /// Reads every counter.
    pub fn read(&self) -> Counters {
        self.page.load()
    }

    pub(crate) fn publish(&self, counters: &Counters) {
        self.page.store(counters);
    }
}
