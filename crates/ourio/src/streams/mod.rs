//! Streams: a reader and a writer over a connection, as asyncio's high-level API has them.
//!
//! The reader keeps what has been read and not asked for; the writer keeps what the kernel has not taken yet and goes
//! on writing it in the background, so that [`StreamWriter::write`] never waits: [`StreamWriter::drain`] does.

mod writer;

pub use writer::{
    DEFAULT_LIMIT, HIGH_WATER, ReadError, Server, StreamReader, StreamWriter, open_connection,
    open_unix_connection, start_server, start_unix_server,
};
