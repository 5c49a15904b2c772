//! The engine: what a loop is made of, and the order of its turn.
//!
//! It hands work out and never calls in, so that it knows neither what it schedules nor any lock of the host's. The rooms
//! below know nothing of one another but what their parts need: the engine is where they meet.

mod builder;
#[expect(clippy::module_inception, reason = "a room is named after its main noun")]
mod engine;
mod turn;
mod wait;

pub use builder::EngineBuilder;
pub use engine::{Engine, Event};
pub use wait::{Events, Patience, Wait};
