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
}
