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

mod awake;
mod blocking;
mod child;
mod clock;
mod counters;
mod engine;
mod error;
mod inbox;
mod meter;
mod poll;
mod pulse;
mod ready;
mod schedule;
mod signal;
mod timer;
mod turn;

pub use awake::{AWAKE_MAX, Luck, stay_awake_until};
pub use blocking::{BlockingPool, PoolLimits};
pub use child::{ChildId, Exit};
pub use clock::{Clock, SimulatedClock, Time};
pub use counters::{Counters, CountersPage};
pub use engine::{Engine, EngineBuilder, Event};
pub use error::{Error, Misuse, Result};
pub use inbox::{Closed, Remote};
pub use meter::{Distribution, Histogram, Meter};
pub use poll::{Epoll, Interest, IoEvent, Readiness, ScriptHandle, Scripted, Token};
pub use pulse::{Beat, Pulse};
pub use ready::{Place, ReadyQueue};
pub use schedule::{Divergence, Schedule, Trace, TraceParseError};
pub use signal::{SignalPipe, SignalWriter};
pub use timer::{TimerId, Timers};
pub use turn::{Events, Patience, Wait};
