//! What stands between Rust and CPython, and knows nothing of how a loop behaves.
//!
//! Objects and the calls on them, methods as C sees them, buffers, contexts, what was imported once, and how an error of ours
//! becomes an exception. Most of the crate's `unsafe` is here, behind types that cannot be misused.

pub(crate) mod buffer;
pub(crate) mod context;
pub(crate) mod errors;
pub(crate) mod garbage;
pub(crate) mod heap;
pub(crate) mod lock;
pub(crate) mod method;
pub(crate) mod names;
pub(crate) mod object;
pub(crate) mod seconds;
