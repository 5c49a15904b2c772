//! Accepting connections: how many at a time, and what to do when the descriptors run out.
//!
//! A listening socket stays readable while the process is out of descriptors, so a loop that just tries
//! again burns a core and starves the very connections whose end would free one. asyncio stops listening
//! for a second; so do we.

use std::time::Duration;

/// Why `accept` gave no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptFailure {
    /// Nobody is waiting (`EAGAIN`), or a signal came (`EINTR`).
    NobodyWaits,
    /// The peer has gone already (`ECONNABORTED`).
    Aborted,
    /// `EMFILE`, `ENFILE`, `ENOBUFS` or `ENOMEM`.
    OutOfResources,
    /// Anything else.
    Other,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Accept once more.
    Again,
    /// Wait until the descriptor is readable again.
    Wait,
    /// Report the failure, stop watching, and call [`AcceptBackoff::resume`] after this long.
    Pause(Duration),
    /// Report the failure; the next event tries again.
    Report,
}

/// The state of one listening socket.
#[derive(Debug, Clone)]
pub struct AcceptBackoff {
    /// Connections accepted per event at most: the backlog and one, as asyncio.
    per_event: usize,
    left: usize,
    paused: bool,
}

impl AcceptBackoff {
    /// asyncio: `ACCEPT_RETRY_DELAY`.
    pub const RETRY_DELAY: Duration = Duration::from_secs(1);

    /// A socket with this backlog.
    pub fn new(backlog: usize) -> Self {
        let per_event = backlog.saturating_add(1);
        Self { per_event, left: 0, paused: false }
    }

    /// The socket is readable; `false` if it is paused, so that the event is a leftover.
    pub fn handle_readable(&mut self) -> bool {
        self.left = self.per_event;
        !self.paused
    }

    /// A connection was accepted.
    pub fn handle_accepted(&mut self) -> Verdict {
        self.spend(Verdict::Again)
    }

    /// No connection was accepted.
    pub fn handle_failure(&mut self, failure: AcceptFailure) -> Verdict {
        match failure {
            AcceptFailure::NobodyWaits => Verdict::Wait,
            AcceptFailure::Aborted => self.spend(Verdict::Again),
            AcceptFailure::OutOfResources => {
                self.paused = true;
                Verdict::Pause(Self::RETRY_DELAY)
            }
            AcceptFailure::Other => Verdict::Report,
        }
    }

    /// The pause is over; `true` if there was one, so that the socket must be watched again.
    pub fn resume(&mut self) -> bool {
        std::mem::take(&mut self.paused)
    }

    /// Whether accepting is paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    fn spend(&mut self, verdict: Verdict) -> Verdict {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 { Verdict::Wait } else { verdict }
    }
}

/// Whether a listening socket is asked again after one connection.
///
/// asyncio asks until nobody waits, so that connections that come one by one cost a system call for nothing each. Where
/// the last look has found one alone, the next few take one and leave it to the poll to tell of another. Then all are
/// taken again, so that no rush waits for more than a few polls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AcceptPace {
    /// How many events take one, after a look that has found one alone.
    trust: u8,
    left: u8,
}

impl AcceptPace {
    const TRUST_MAX: u8 = 8;

    /// The socket is readable: whether one connection is enough this time.
    pub fn takes_one(&mut self) -> bool {
        let takes_one = self.left > 0;
        self.left = self.left.saturating_sub(1);
        takes_one
    }

    /// A look that went on until nobody waited has found so many.
    pub fn handle_found(&mut self, count: usize) {
        self.trust = if count == 1 { (self.trust * 2).clamp(1, Self::TRUST_MAX) } else { 0 };
        self.left = self.trust;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_accepts_the_backlog_and_one() {
        let mut accept = AcceptBackoff::new(2);
        assert!(accept.handle_readable());
        assert_eq!(accept.handle_accepted(), Verdict::Again);
        assert_eq!(accept.handle_failure(AcceptFailure::Aborted), Verdict::Again);
        assert_eq!(accept.handle_accepted(), Verdict::Wait);
        assert!(accept.handle_readable());
        assert_eq!(accept.handle_accepted(), Verdict::Again);
        assert_eq!(accept.handle_failure(AcceptFailure::NobodyWaits), Verdict::Wait);
    }

    #[test]
    fn running_out_of_descriptors_pauses_until_resumed() {
        let mut accept = AcceptBackoff::new(100);
        assert!(accept.handle_readable());
        let verdict = accept.handle_failure(AcceptFailure::OutOfResources);
        assert_eq!(verdict, Verdict::Pause(Duration::from_secs(1)));
        assert!(!accept.handle_readable(), "an event that was on its way is a leftover");
        assert!(accept.resume());
        assert!(!accept.resume(), "a pause ends once");
        assert!(accept.handle_readable());
        assert_eq!(accept.handle_failure(AcceptFailure::Other), Verdict::Report);
    }

    #[test]
    fn connections_that_come_alone_are_trusted_to_for_a_while() {
        let mut pace = AcceptPace::default();
        let mut looks = Vec::new();
        for event in 0..40 {
            if !pace.takes_one() {
                looks.push(event);
                pace.handle_found(1);
            }
        }
        assert_eq!(looks, [0, 2, 5, 10, 19, 28, 37]);
    }

    #[test]
    fn a_rush_is_taken_whole_until_it_is_over() {
        let mut pace = AcceptPace::default();
        for found in [1, 5, 0, 3] {
            while pace.takes_one() {}
            pace.handle_found(found);
        }
        assert!(!pace.takes_one());
    }
}
