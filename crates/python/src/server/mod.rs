//! What a server does: accepting.

pub(crate) mod accept;
