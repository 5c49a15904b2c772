//! Who waits, in order: what every primitive here is made of.
//!
//! A place in the order is a ticket. Tickets only grow, so the list is sorted and a ticket is found by bisection;
//! whoever stops waiting leaves a gap, and when more than half are gaps they are taken out. Being no longer in the
//! list is what tells a waiter that its turn has come.

use std::collections::VecDeque;

use super::waiter::Waiter;

/// A place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
pub(crate) struct WaitList<P> {
    entries: VecDeque<(Ticket, Option<(Waiter, P)>)>,
    gaps: usize,
    next: u64,
}

/// Below this, gaps are not worth a walk.
const GAPS_MIN: usize = 32;

impl<P> Default for WaitList<P> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), gaps: 0, next: 0 }
    }
}

impl<P> WaitList<P> {
    /// Waits at the ticket's place, or at the end with a new one.
    pub(crate) fn wait(&mut self, ticket: &mut Option<Ticket>, waiter: Waiter, purpose: P) {
        if let Some(entry) = ticket.and_then(|ticket| self.entry(ticket)) {
            *entry = Some((waiter, purpose));
            return;
        }
        let new = Ticket(self.next);
        self.next += 1;
        self.entries.push_back((new, Some((waiter, purpose))));
        *ticket = Some(new);
    }

    /// Whether a ticket's turn has not come.
    pub(crate) fn is_waiting(&self, ticket: Ticket) -> bool {
        let place = self.entries.binary_search_by_key(&ticket, |(known, _)| *known);
        place.is_ok_and(|place| self.entries[place].1.is_some())
    }

    /// Takes the first out: its turn has come.
    pub(crate) fn pop(&mut self) -> Option<Waiter> {
        self.skip_gaps();
        self.entries.pop_front().and_then(|(_, entry)| entry).map(|(waiter, _)| waiter)
    }

    /// Stops waiting; `None` if the turn had come.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let gone = self.entry(ticket)?.take();
        self.gaps += 1;
        if self.gaps > GAPS_MIN && self.gaps * 2 > self.entries.len() {
            self.entries.retain(|(_, entry)| entry.is_some());
            self.gaps = 0;
        }
        gone.map(|(waiter, _)| waiter)
    }

    /// Takes everybody out, in order.
    pub(crate) fn take_all(&mut self) -> Vec<Waiter> {
        self.gaps = 0;
        self.entries.drain(..).filter_map(|(_, entry)| entry).map(|(waiter, _)| waiter).collect()
    }

    /// Everybody who waits, and goes on waiting.
    pub(crate) fn everybody(&self) -> Vec<Waiter> {
        let waiting = self.entries.iter().filter_map(|(_, entry)| entry.as_ref());
        waiting.map(|(waiter, _)| waiter.clone()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.gaps
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn skip_gaps(&mut self) {
        while self.entries.front().is_some_and(|(_, entry)| entry.is_none()) {
            self.entries.pop_front();
            self.gaps -= 1;
        }
    }

    fn entry(&mut self, ticket: Ticket) -> Option<&mut Option<(Waiter, P)>> {
        let place = self.entries.binary_search_by_key(&ticket, |(known, _)| *known).ok()?;
        Some(&mut self.entries[place].1).filter(|entry| entry.is_some())
    }
}
