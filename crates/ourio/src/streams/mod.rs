//! Streams: a reader and a writer over a connection, as asyncio's high-level API has them.
//!
//! The reader keeps what has been read and not asked for; the writer keeps what the kernel has not taken yet and goes
//! on writing it in the background, so that [`StreamWriter::write`] never waits: [`StreamWriter::drain`] does.

mod connection;
mod open;
mod reader;
mod server;
mod writer;

pub use open::{open_connection, open_unix_connection};
pub use reader::{DEFAULT_LIMIT, ReadError, StreamReader};
pub use server::{Server, start_server, start_unix_server};
pub use writer::{HIGH_WATER, StreamWriter};
