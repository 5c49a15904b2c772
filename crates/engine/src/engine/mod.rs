//! The engine: what a loop is made of, and the order of its turn.

#[expect(clippy::module_inception, reason = "a room is named after its main noun")]
mod engine;
mod turn;

pub use engine::{Engine, EngineBuilder, Event};
pub use turn::{Events, Patience, Wait};
