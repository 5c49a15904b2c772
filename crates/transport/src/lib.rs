//! What a connection does, as pure state machines.
//!
//! Nothing here reads a socket or a clock. A host feeds in what happened (`handle_*`) and what its user
//! asked for (the verbs of asyncio's transports), and carries out what comes back: [`Effects`] to perform
//! once, and [`Stream::wants_read`] and [`Stream::wants_write`], which say at any time what to watch the
//! descriptor for. So the rules that are hard to get right (which callback, in which order, exactly once)
//! are tested without a socket, in milliseconds.
//!
//! The rules are asyncio's: "Transports and Protocols" in Python's library reference, and where that is
//! silent, what `asyncio.selector_events` does.
#![forbid(unsafe_code)]

mod accept;
mod flow;
mod hold;
mod stream;
mod write_queue;

pub use accept::{AcceptBackoff, AcceptFailure, AcceptPace, Verdict};
pub use flow::{FlowChange, FlowControl, LimitsError};
pub use hold::{Departure, Hold};
pub use stream::{Admission, Effects, LOST_WRITES_BEFORE_WARNING, Loss, Stream, WriteAfterEof};
pub use write_queue::WriteQueue;
