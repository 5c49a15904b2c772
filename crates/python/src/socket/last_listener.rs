//! How many connections a listening socket had for us last.

use std::cell::Cell;
use std::os::fd::RawFd;

use ourio_transport::AcceptPace;

/// The socket that was accepted from last, and how: one is remembered, as most programs have one that is busy.
#[derive(Debug)]
pub(crate) struct LastListener {
    last: Cell<(RawFd, AcceptPace)>,
}

impl Default for LastListener {
    fn default() -> Self {
        Self { last: Cell::new((-1, AcceptPace::default())) }
    }
}

impl LastListener {
    /// How a socket was accepted from, if it is the one that was last.
    pub(crate) fn pace(&self, number: Option<RawFd>) -> AcceptPace {
        let (last, pace) = self.last.get();
        if number == Some(last) { pace } else { AcceptPace::default() }
    }

    pub(crate) fn note(&self, number: RawFd, pace: AcceptPace) {
        self.last.set((number, pace));
    }
}
