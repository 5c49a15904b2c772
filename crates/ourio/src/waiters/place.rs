//! A place among those who wait, which is given up by whoever stops waiting.

use std::cell::RefCell;

use super::wait_list::{Ticket, WaitList};

/// A place in a list that is given up when it is dropped.
pub(crate) struct Place<'a, P> {
    pub(crate) list: &'a RefCell<WaitList<P>>,
    pub(crate) ticket: Option<Ticket>,
}

impl<P> Place<'_, P> {
    /// Whether it has been waited for, and its turn has come.
    pub(crate) fn has_come(&self) -> bool {
        self.ticket.is_some_and(|ticket| !self.list.borrow().is_waiting(ticket))
    }
}

impl<P> Drop for Place<'_, P> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let gone = self.list.borrow_mut().remove(ticket);
            drop(gone);
        }
    }
}
