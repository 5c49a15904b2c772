//! A connection of either kind, as a reader and a writer share it.

use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

use crate::net::{TcpStream, UnixStream};

/// A connection of either kind.
pub(super) enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    pub(super) fn poll_read(&self, context: &Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_from(context, buffer),
            Self::Unix(stream) => stream.poll_read_from(context, buffer),
        }
    }

    pub(super) fn poll_write(&self, context: &Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_to(context, data),
            Self::Unix(stream) => stream.poll_write_to(context, data),
        }
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        }
    }
}
