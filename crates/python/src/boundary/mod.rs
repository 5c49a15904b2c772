//! What stands between Rust and CPython, and knows nothing of how a loop behaves.

pub(crate) mod buffer;
pub(crate) mod context;
pub(crate) mod errors;
pub(crate) mod garbage;
pub(crate) mod heap;
pub(crate) mod lock;
pub(crate) mod method;
pub(crate) mod names;
pub(crate) mod object;
