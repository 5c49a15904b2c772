//! What is going on in a loop, seen from a thread of its own.
//!
//! A [`Watchdog`] looks at a loop's [`Pulse`](ourio_engine::Pulse) from a native thread, so that it sees a loop that is
//! blocked while it is blocked, whoever holds which lock; and asks the kernel what the blocked thread does
//! ([`ThreadState`]). A [`Board`] gathers what loops publish ([`LoopView`]) and what their host tells; a [`Server`] shows
//! it to other programs, to a terminal ([`top`]) and to a browser. All of it only reads: it takes no lock of a loop's, and
//! runs none of its code.
#![forbid(unsafe_code)]

mod access;
mod board;
mod dashboard;
mod metrics;
mod perfetto;
mod recorder;
mod server;
mod thread_state;
mod top;
mod traffic;
mod watchdog;

pub use access::{folder, socket_of};
pub use board::{Board, LoopState, Note, Question};
pub use metrics::{Connections, Figures, LoopView, Reading, connections, prometheus};
pub use perfetto::{Origin as TraceOrigin, trace};
pub use recorder::{Activity as RecordedActivity, Name, Record, Recorder, Scale, Stamp};
pub use server::{Identity, Server};
pub use thread_state::{Activity, SystemCall, ThreadState, own_delay};
pub use top::{picture, top};
pub use traffic::{Connection, Kind, Moved, Traffic};
pub use watchdog::{Stall, Watchdog};
