//! When things run: the engine beneath both faces of Ourio.
//!
//! [`Engine`] owns a ready queue, timers, a poller, an inbox for other threads, a clock and a schedule
//! policy. It is generic over the payload `C` that it schedules, and it *hands work out, it never calls
//! in*: [`Engine::next`] yields a payload and the host runs it. So there is no re-entrancy here, no
//! callback trait, and no knowledge of Python, of futures, or of any lock that a host may hold.
//!
//! # One turn
//!
//! ```text
//! 1. prepare(now)      decides whether this turn asks the kernel, and for how long it may sleep
//! 2. Wait::block()     the only blocking call; `Wait` is `Send`, so a host may release its locks around it
//! 3. absorb(e, now)    appends to the ready queue, in this order:
//! 4.                     what descriptors reported, signals, exited children
//! 5.                     timers that are due, by deadline, ties in order of creation
//! 6.                     what other threads sent, in order of arrival
//! 7.                   fixes the batch: exactly the entries that are ready at this point
//! 8. next()            yields the batch, then None; what it schedules waits for the next turn
//! ```
//!
//! # A whole host
//!
//! ```
//! use ourio_engine::{Engine, Event, Patience};
//!
//! #[derive(Debug, PartialEq)]
//! enum Work { Say(&'static str), Event(Event) }
//! impl From<Event> for Work { fn from(event: Event) -> Self { Work::Event(event) } }
//!
//! let mut engine: Engine<Work> = Engine::new()?;
//! engine.schedule_at(engine.now(), Work::Say("second"));
//! engine.schedule(Work::Say("first"));
//! let mut said = Vec::new();
//! while engine.has_work() {
//!     let events = engine.prepare(engine.now(), Patience::Block).block()?;
//!     engine.absorb(events, engine.now());
//!     while let Some(work) = engine.next() {
//!         said.push(work);
//!     }
//! }
//! assert_eq!(said, [Work::Say("first"), Work::Say("second")]);
//! # Ok::<(), ourio_engine::Error>(())
//! ```
//!
//! # What it does not do
//!
//! It performs no reads or writes on the host's descriptors, runs no payload, and knows no priorities.

mod engine;
mod error;
mod gauge;
mod inbox;
mod poll;
mod process;
mod queue;
mod threads;
mod time;

pub use engine::{Engine, EngineBuilder, Event, Events, Patience, Wait};
pub use error::{Error, Misuse, Result};
pub use gauge::{Beat, Counters, CountersPage, Distribution, Histogram, Meter, Pulse};
pub use inbox::{Closed, Remote};
pub use poll::{Epoll, Interest, IoEvent, Readiness, ScriptHandle, Scripted, Token};
pub use process::{ChildId, Exit, SignalPipe, SignalWriter};
pub use queue::{Divergence, Place, ReadyQueue, Schedule, Trace, TraceParseError};
pub use threads::{AdaptiveSpin, BlockingPool, PoolLimits, SPIN_MAX, spin_until};
pub use time::{Clock, SimulatedClock, Time, TimerId, Timers};
