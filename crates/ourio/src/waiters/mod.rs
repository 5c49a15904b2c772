//! Waiters: who waits for a thing of ours, in which order, and how each is woken.
//!
//! Every primitive between tasks is made of a [`WaitList`]. What has become of what they wait for is the primitive's to
//! know; what a task waits for stands in its slot of the [table](crate::table), for people.

mod place;
mod wait_list;
mod waiter;

pub(crate) use place::Place;
pub(crate) use wait_list::{Ticket, WaitList};
pub(crate) use waiter::Waiter;
