//! `HeldDatagrams`: datagrams that leave together, half a microsecond less for each.

use std::net::SocketAddrV4;

use crate::boundary::object::Object;

/// How many wait at most.
const COUNT_MAX: usize = 64;

/// Longer ones do not wait: what a system call costs is little beside them.
const LEN_MAX: usize = 4 * 1024;

/// A datagram that `sendto` has taken, of a socket that is not connected. What a connected one sent before may have
/// failed meanwhile, which the kernel tells once, and not if part of a call has succeeded.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) transport: Object,
    /// A `bytes`, exactly.
    pub(crate) data: Object,
    /// As the program has given it.
    pub(crate) address: Object,
    pub(crate) peer: SocketAddrV4,
}

/// What waits, in the order in which it was sent.
#[derive(Debug, Default)]
pub(crate) struct HeldDatagrams {
    waiting: Vec<Datagram>,
    /// Whether they are on the loop's list of what is sent when the turn ends.
    is_listed: bool,
    more_comes: bool,
}

/// What is to be done once a datagram has been kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is sent with the others.
    Waits,
    /// The loop has to be told that something waits.
    IsFirst,
    /// No more should wait: all are sent now, though they stay on the loop's list until the turn ends.
    IsLast,
}

impl HeldDatagrams {
    /// Whether further datagrams will be delivered in this callback, which may be answered too.
    pub(crate) fn expect_more(&mut self, more: bool) {
        self.more_comes = more;
    }

    /// Whether a datagram should wait for others: there are some already, or something is left to be done in this
    /// turn that could send.
    pub(crate) fn pays_to_wait(&self, turn_goes_on: bool, len: usize) -> bool {
        (self.more_comes || !self.waiting.is_empty() || turn_goes_on) && len <= LEN_MAX
    }

    pub(crate) fn keep(&mut self, datagram: Datagram) -> Kept {
        self.waiting.push(datagram);
        if self.waiting.len() >= COUNT_MAX {
            Kept::IsLast
        } else if std::mem::replace(&mut self.is_listed, true) {
            Kept::Waits
        } else {
            Kept::IsFirst
        }
    }

    /// Whether they are on the loop's list, perhaps with nothing left to be sent.
    pub(crate) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// The loop has taken them off its list.
    pub(crate) fn unlist(&mut self) {
        self.is_listed = false;
    }

    /// Takes all of them, to be sent.
    pub(crate) fn take(&mut self) -> Vec<Datagram> {
        std::mem::take(&mut self.waiting)
    }

    /// The memory of what was sent serves the next turn.
    pub(crate) fn reuse(&mut self, sent: Vec<Datagram>) {
        if self.waiting.is_empty() {
            self.waiting = sent;
        }
    }
}
