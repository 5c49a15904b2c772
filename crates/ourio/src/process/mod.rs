//! Processes: started, awaited, and spoken with through pipes. asyncio: `asyncio.subprocess`.

mod child;

pub(crate) use child::Waiting;
pub use child::{Child, Command, Pipe};
