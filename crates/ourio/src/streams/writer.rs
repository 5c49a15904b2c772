//! `StreamWriter`: what a connection has not taken yet, which a task writes in the background.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::connection::Connection;
use crate::sync::Event;
use crate::task::spawn_named;

/// Above this a writer's [`drain`](StreamWriter::drain) waits. asyncio: a transport's high-water mark.
pub const HIGH_WATER: usize = 64 * 1024;
/// Until no more than this is left.
const LOW_WATER: usize = HIGH_WATER / 4;

/// Writes to a connection.
///
/// Dropping it closes its direction once everything is written; dropping the reader as well closes the connection.
pub struct StreamWriter {
    state: Rc<Writing>,
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.state.buffer.borrow().len();
        f.debug_struct("StreamWriter").field("buffered", &left).finish_non_exhaustive()
    }
}

struct Writing {
    connection: Rc<Connection>,
    /// What the kernel has not taken.
    buffer: RefCell<VecDeque<u8>>,
    failure: Cell<Option<(io::ErrorKind, Option<i32>)>>,
    /// A task writes what is left.
    flushing: Cell<bool>,
    ending: Cell<Ending>,
    /// There is room.
    low: Event,
    /// Nothing is left.
    flushed: Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    /// The peer is to see the end once everything is written.
    Eof,
    Closed,
}

impl StreamWriter {
    pub(super) fn over(connection: Rc<Connection>) -> Self {
        let state = Writing {
            connection,
            buffer: RefCell::default(),
            failure: Cell::new(None),
            flushing: Cell::new(false),
            ending: Cell::new(Ending::Open),
            low: Event::new(),
            flushed: Event::new(),
        };
        state.low.set();
        state.flushed.set();
        Self { state: Rc::new(state) }
    }

    /// Writes: at once what the kernel takes, the rest in the background.
    ///
    /// After a failure, or the end, it is dropped silently; [`StreamWriter::drain`] tells of the failure.
    pub fn write(&self, data: &[u8]) {
        let state = &self.state;
        if state.failure.get().is_some() || state.ending.get() != Ending::Open {
            return;
        }
        let mut buffer = state.buffer.borrow_mut();
        let mut written = 0;
        if buffer.is_empty() && !state.flushing.get() {
            let mut nobody = Context::from_waker(std::task::Waker::noop());
            match state.try_write(&mut nobody, data) {
                Ok(count) => written = count,
                Err(error) => return state.fail(&error),
            }
        }
        buffer.extend(&data[written..]);
        let left = buffer.len();
        drop(buffer);
        if left > 0 {
            state.flushed.clear();
            if left > HIGH_WATER {
                state.low.clear();
            }
            Writing::flush(state);
        }
    }

    /// Writes several pieces. asyncio: `writelines`.
    pub fn writelines<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        pieces.into_iter().for_each(|piece| self.write(piece));
    }

    /// Waits while too much is left to write.
    ///
    /// # Errors
    ///
    /// What has gone wrong with the connection.
    pub async fn drain(&self) -> io::Result<()> {
        self.state.low.wait().await;
        self.state.check()
    }

    /// Lets the peer see the end once everything is written. asyncio: `write_eof`.
    pub fn write_eof(&self) {
        self.state.end(Ending::Eof);
    }

    /// Closes the connection once everything is written. [`StreamWriter::wait_closed`] waits for it.
    pub fn close(&self) {
        self.state.end(Ending::Closed);
    }

    /// Whether it was closed.
    pub fn is_closing(&self) -> bool {
        self.state.ending.get() == Ending::Closed
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    ///
    /// What has gone wrong with the connection.
    pub async fn wait_closed(&self) -> io::Result<()> {
        self.state.flushed.wait().await;
        self.state.check()
    }

    /// The peer's address, if it has one.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match &*self.state.connection {
            Connection::Tcp(stream) => stream.peer_addr().ok(),
            Connection::Unix(_) => None,
        }
    }

    /// Its own address, if it has one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &*self.state.connection {
            Connection::Tcp(stream) => stream.local_addr().ok(),
            Connection::Unix(_) => None,
        }
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if self.state.ending.get() == Ending::Open {
            self.state.end(Ending::Eof);
        }
    }
}

impl Writing {
    /// Writes what the kernel takes now.
    fn try_write(&self, context: &mut Context<'_>, data: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < data.len() {
            match self.connection.poll_write(context, &data[written..]) {
                Poll::Ready(count) => written += count?,
                Poll::Pending => break,
            }
        }
        Ok(written)
    }

    /// Has a task write what is left.
    fn flush(this: &Rc<Self>) {
        if this.flushing.replace(true) {
            return;
        }
        let state = Rc::clone(this);
        spawn_named("stream writer", async move {
            let outcome = poll_fn(|context| state.poll_flush(context)).await;
            state.flushing.set(false);
            match outcome {
                Ok(()) => state.finish(),
                Err(error) => state.fail(&error),
            }
        })
        .detach();
    }

    fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut buffer = self.buffer.borrow_mut();
            let (front, _) = buffer.as_slices();
            if front.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let count = ready!(self.connection.poll_write(context, front))?;
            buffer.drain(..count);
            let left = buffer.len();
            drop(buffer);
            if left <= LOW_WATER {
                self.low.set();
            }
        }
    }

    fn end(&self, how: Ending) {
        if self.ending.get() == Ending::Closed || self.ending.get() == how {
            return;
        }
        self.ending.set(how);
        if !self.flushing.get() {
            self.finish();
        }
    }

    /// Everything is written.
    fn finish(&self) {
        let how = match self.ending.get() {
            Ending::Open => None,
            Ending::Eof => Some(Shutdown::Write),
            Ending::Closed => Some(Shutdown::Both),
        };
        // The peer may have been faster.
        if let Some(how) = how {
            drop(self.connection.shutdown(how));
        }
        self.low.set();
        self.flushed.set();
    }

    fn fail(&self, error: &io::Error) {
        self.failure.set(Some((error.kind(), error.raw_os_error())));
        if let Ok(mut buffer) = self.buffer.try_borrow_mut() {
            buffer.clear();
        }
        self.low.set();
        self.flushed.set();
    }

    fn check(&self) -> io::Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some((_, Some(code))) => Err(io::Error::from_raw_os_error(code)),
            Some((kind, None)) => Err(kind.into()),
        }
    }
}
