//! Who waits, and in which order.

mod wait_list;
mod waiter;

pub(crate) use wait_list::{Ticket, WaitList};
pub(crate) use waiter::{WaitPoint, Waiter, Waits};
