//! Processes: started, awaited, and spoken with through pipes. asyncio: `asyncio.subprocess`.

mod child;
mod command;
mod pipe;

pub use child::Child;
pub use command::Command;
pub use pipe::Pipe;
