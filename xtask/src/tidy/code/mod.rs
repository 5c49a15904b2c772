//! Reading code: the modules of a crate or a package, and who mentions whom.

pub(super) mod python;
pub(super) mod rust;

mod names;
mod reading;

pub(super) use reading::{Reading, Reference};
