//! What callbacks have written, and waits for the end of their turn to leave together.
//!
//! The room keeps account of what waits, and knows neither the kernel nor what a transport is: whoever holds something back
//! says how it is sent. When it is, is the loop's to say.

pub(crate) mod datagrams;
pub(crate) mod writes;
