//! `Pipe`: an end of a pipe, as a child's three streams are.

use std::fmt;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::reactor::{Evented, Side, write_all};

/// An end of a pipe.
pub struct Pipe {
    evented: Evented<File>,
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.evented.fmt(f)
    }
}

impl Pipe {
    /// Takes an end of a pipe over.
    ///
    /// # Errors
    ///
    /// The kernel's, if it is not open.
    pub fn new(end: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&end)?;
        rustix::fs::fcntl_setfl(&end, flags | rustix::fs::OFlags::NONBLOCK)?;
        Ok(Self { evented: Evented::new(File::from(end)) })
    }

    /// Reads what there is, and waits for it; zero is the end.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read_from(context, buffer)).await
    }

    /// Reads to the end.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub async fn read_to_end(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.read(&mut buffer).await? {
                0 => return Ok(all),
                got => all.extend_from_slice(&buffer[..got]),
            }
        }
    }

    /// Writes what the pipe takes.
    ///
    /// # Errors
    ///
    /// The kernel's; `BrokenPipe` if nobody reads.
    pub async fn write(&self, data: &[u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_write_to(context, data)).await
    }

    /// Writes everything.
    ///
    /// # Errors
    ///
    /// As [`Pipe::write`].
    pub async fn write_all(&self, data: &[u8]) -> io::Result<()> {
        write_all(data, |context, data| self.poll_write_to(context, data)).await
    }

    fn poll_read_from(&self, context: &Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.evented.poll_read(context, buffer, |mut file, buffer| file.read(buffer))
    }

    fn poll_write_to(&self, context: &Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.evented.poll_io(Side::Write, context, |mut file| file.write(data))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_from(context, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.poll_write_to(context, data));
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A pipe is closed by dropping it.
    fn poll_close(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
