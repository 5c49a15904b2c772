//! Descriptors that tasks and callbacks of a loop wait for.

mod source;

pub(crate) use source::{Evented, Side, Source, as_io, wrapper, write_all};
