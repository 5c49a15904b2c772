//! Making a reader and a writer of a connection.

use std::io;
use std::path::Path;
use std::rc::Rc;

use super::connection::Connection;
use super::reader::StreamReader;
use super::writer::StreamWriter;
use crate::net::{TcpStream, ToAddresses, UnixStream};

/// Connects to a host, and gives both directions. asyncio: `asyncio.open_connection`.
///
/// # Errors
///
/// The resolver's or the kernel's.
pub async fn open_connection(address: impl ToAddresses) -> io::Result<(StreamReader, StreamWriter)> {
    Ok(over(Connection::Tcp(TcpStream::connect(address).await?)))
}

/// Connects to a Unix socket. asyncio: `asyncio.open_unix_connection`.
///
/// # Errors
///
/// The kernel's.
pub async fn open_unix_connection(path: impl AsRef<Path>) -> io::Result<(StreamReader, StreamWriter)> {
    Ok(over(Connection::Unix(UnixStream::connect(path).await?)))
}

impl From<TcpStream> for (StreamReader, StreamWriter) {
    fn from(stream: TcpStream) -> Self {
        over(Connection::Tcp(stream))
    }
}

impl From<UnixStream> for (StreamReader, StreamWriter) {
    fn from(stream: UnixStream) -> Self {
        over(Connection::Unix(stream))
    }
}

fn over(connection: Connection) -> (StreamReader, StreamWriter) {
    let connection = Rc::new(connection);
    (StreamReader::over(Rc::clone(&connection)), StreamWriter::over(connection))
}
