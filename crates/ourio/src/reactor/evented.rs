//! What the types of the world are made of: something with a descriptor, which is tried, waited for and tried again.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::descriptors::{Side, Source, as_io};
use super::running;

/// Something with a descriptor, and what a loop knows of it. Unregistered before it is closed.
pub(crate) struct Evented<S> {
    source: Rc<Source>,
    io: S,
}

impl<S: fmt::Debug> fmt::Debug for Evented<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

impl<S> Drop for Evented<S> {
    fn drop(&mut self) {
        self.source.leave();
    }
}

impl<S: AsFd> Evented<S> {
    /// Of something that does not block.
    pub(crate) fn new(io: S) -> Self {
        Self { source: Source::new(io.as_fd().as_raw_fd()), io }
    }

    pub(crate) fn io(&self) -> &S {
        &self.io
    }

    /// Tries a call, waits for as long as it would block, and tries again.
    pub(crate) fn poll_io<T>(
        &self,
        side: Side,
        context: &Context<'_>,
        mut call: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            if !self.source.is_promising(side) {
                return self.wait(side, context);
            }
            match call(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.source.learn(side, false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// As [`Evented::poll_io`], for a read from a stream: one that does not fill its buffer has taken all there was.
    pub(crate) fn poll_read(
        &self,
        context: &Context<'_>,
        buffer: &mut [u8],
        mut read: impl FnMut(&S, &mut [u8]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let got = ready!(self.poll_io(Side::Read, context, |io| read(io, buffer)))?;
        if got < buffer.len() {
            // More, or the end, is reported by the level.
            self.source.learn(Side::Read, got == 0);
        }
        Poll::Ready(Ok(got))
    }

    /// As [`Evented::poll_io`], for a write to a stream.
    pub(crate) fn poll_write(
        &self,
        context: &Context<'_>,
        data: &[u8],
        mut write: impl FnMut(&S, &[u8]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_io(Side::Write, context, |io| write(io, data))
    }

    /// Has the next event of a side wake whoever polls with this context, on the loop that runs.
    fn wait<T>(&self, side: Side, context: &Context<'_>) -> Poll<io::Result<T>> {
        match self.source.wait(&running::expect().descriptors, side, context) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(as_io(error))),
        }
    }

    /// Waits until a side is ready, whatever is known.
    pub(crate) async fn readiness(&self, side: Side) -> io::Result<()> {
        let mut asked = false;
        std::future::poll_fn(|context| {
            if !asked {
                asked = true;
                self.source.learn(side, false);
            }
            if self.source.is_promising(side) {
                return Poll::Ready(Ok(()));
            }
            self.wait(side, context)
        })
        .await
    }
}

/// Writes everything, piece by piece.
pub(crate) async fn write_all(
    mut data: &[u8],
    mut write: impl FnMut(&Context<'_>, &[u8]) -> Poll<io::Result<usize>>,
) -> io::Result<()> {
    std::future::poll_fn(|context| {
        while !data.is_empty() {
            let written = ready!(write(context, data))?;
            data = &data[written..];
        }
        Poll::Ready(Ok(()))
    })
    .await
}
