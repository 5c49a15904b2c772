//! What a loop is made of, and what runs next.

pub(crate) mod running;
mod scheduler;

pub(crate) use scheduler::{CallId, Entry, Inner, Main, RemoteCall, contain};
