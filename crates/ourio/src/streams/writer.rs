//! Streams: a reader and a writer over a connection, as asyncio's high-level API has them.
//!
//! The reader keeps what has been read and not asked for; the writer keeps what the kernel has not taken yet and goes
//! on writing it in the background, so that [`StreamWriter::write`] never waits: [`StreamWriter::drain`] does.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future as StdFuture;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::net::{TcpListener, TcpStream, ToAddresses, UnixListener, UnixStream};
use crate::sync::Event;
use crate::task::Task;

/// How much a reader keeps at most, which is also how long a line may be. asyncio: the `limit` of `open_connection`.
pub const DEFAULT_LIMIT: usize = 64 * 1024;

/// Above this a writer's [`drain`](StreamWriter::drain) waits. asyncio: a transport's high-water mark.
pub const HIGH_WATER: usize = 64 * 1024;
/// Until no more than this is left.
const LOW_WATER: usize = HIGH_WATER / 4;

/// A connection of either kind.
enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    fn poll_read(&self, context: &Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_from(context, buffer),
            Self::Unix(stream) => stream.poll_read_from(context, buffer),
        }
    }

    fn poll_write(&self, context: &Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_to(context, data),
            Self::Unix(stream) => stream.poll_write_to(context, data),
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        }
    }
}

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
    let reader = StreamReader {
        connection: Rc::clone(&connection),
        kept: VecDeque::new(),
        scratch: Vec::new(),
        limit: DEFAULT_LIMIT,
        ended: false,
    };
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
    (reader, StreamWriter { state: Rc::new(state) })
}

/// Reads from a connection.
pub struct StreamReader {
    connection: Rc<Connection>,
    /// Read, and not asked for yet.
    kept: VecDeque<u8>,
    scratch: Vec<u8>,
    limit: usize,
    ended: bool,
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("kept", &self.kept.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Why a read gave less than it was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The end came first; what came before it. asyncio: `IncompleteReadError`.
    Incomplete(Vec<u8>),
    /// The separator is not among as many bytes as the limit allows; all of them are kept. asyncio:
    /// `LimitOverrunError`.
    LimitOverrun(usize),
    /// The kernel refused.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete(partial) => write!(f, "the stream ended after {} bytes", partial.len()),
            Self::LimitOverrun(limit) => write!(f, "no separator within the limit of {limit} bytes"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Incomplete(_) => Self::new(io::ErrorKind::UnexpectedEof, error.to_string()),
            ReadError::LimitOverrun(_) => Self::new(io::ErrorKind::InvalidData, error.to_string()),
            ReadError::Io(error) => error,
        }
    }
}

impl StreamReader {
    /// Sets how much is kept at most, which is also how long a line may be.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether the end has come and all has been taken. asyncio: `at_eof`.
    pub fn at_eof(&self) -> bool {
        self.ended && self.kept.is_empty()
    }

    /// Reads what there is, at most so many bytes, and waits for it; empty is the end. asyncio: `read(n)`.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub async fn read(&mut self, most: usize) -> io::Result<Vec<u8>> {
        if most == 0 {
            return Ok(Vec::new());
        }
        if self.kept.is_empty() {
            self.fill().await?;
        }
        let count = self.kept.len().min(most);
        Ok(self.kept.drain(..count).collect())
    }

    /// Reads to the end. asyncio: `read(-1)`.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut all: Vec<u8> = self.kept.drain(..).collect();
        while self.fill().await? {
            all.extend(self.kept.drain(..));
        }
        Ok(all)
    }

    /// Reads exactly so many bytes. asyncio: `readexactly`.
    ///
    /// Dropped before it is done, it loses nothing: what has been read is kept.
    ///
    /// # Errors
    ///
    /// [`ReadError::Incomplete`] with what came before the end.
    pub async fn read_exactly(&mut self, count: usize) -> Result<Vec<u8>, ReadError> {
        while self.kept.len() < count {
            if !self.fill().await? {
                return Err(ReadError::Incomplete(self.kept.drain(..).collect()));
            }
        }
        Ok(self.kept.drain(..count).collect())
    }

    /// Reads to a separator, which is part of what is given. asyncio: `readuntil`.
    ///
    /// # Errors
    ///
    /// [`ReadError::Incomplete`] if the end comes first, [`ReadError::LimitOverrun`] if too much comes first. An empty
    /// separator is an error of kind `InvalidInput`.
    pub async fn read_until(&mut self, separator: &[u8]) -> Result<Vec<u8>, ReadError> {
        if separator.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the separator is empty").into());
        }
        let mut searched = 0;
        loop {
            let kept = self.kept.make_contiguous();
            let found = kept[searched..].windows(separator.len()).position(|window| window == separator);
            if let Some(place) = found {
                let end = searched + place + separator.len();
                if end - separator.len() > self.limit {
                    return Err(ReadError::LimitOverrun(self.limit));
                }
                return Ok(self.kept.drain(..end).collect());
            }
            // A separator may lie across what is here and what comes.
            searched = kept.len().saturating_sub(separator.len() - 1);
            if searched > self.limit {
                return Err(ReadError::LimitOverrun(self.limit));
            }
            if !self.fill().await? {
                return Err(ReadError::Incomplete(self.kept.drain(..).collect()));
            }
        }
    }

    /// Reads a line with its `\n`; at the end, what is left, and then nothing. asyncio: `readline`.
    ///
    /// # Errors
    ///
    /// [`ReadError::LimitOverrun`]; the line is dropped then as far as it has come, as asyncio does.
    pub async fn read_line(&mut self) -> Result<Vec<u8>, ReadError> {
        match self.read_until(b"\n").await {
            Err(ReadError::Incomplete(partial)) => Ok(partial),
            Err(ReadError::LimitOverrun(limit)) => {
                let end = self
                    .kept
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(self.kept.len(), |place| place + 1);
                self.kept.drain(..end);
                Err(ReadError::LimitOverrun(limit))
            }
            done => done,
        }
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.scratch.resize(READ_AT_ONCE, 0);
        let got = poll_fn(|context| self.connection.poll_read(context, &mut self.scratch)).await?;
        self.kept.extend(&self.scratch[..got]);
        self.ended = got == 0;
        Ok(!self.ended)
    }
}

const READ_AT_ONCE: usize = 64 * 1024;

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
        crate::spawn_named("stream writer", async move {
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

/// A server: accepts connections, and runs a task for each. asyncio: `asyncio.Server`.
///
/// Dropping it stops the accepting; connections go on.
#[derive(Debug)]
pub struct Server {
    accepting: Task<()>,
    address: Option<SocketAddr>,
}

/// After this long a server that is out of descriptors tries again. asyncio: `ACCEPT_RETRY_DELAY`.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Serves a TCP address: each connection is handled by a task. asyncio: `asyncio.start_server`.
///
/// Out of descriptors, it waits for a second and goes on.
///
/// # Errors
///
/// The resolver's or the kernel's, such as `AddrInUse`.
pub async fn start_server<F: StdFuture<Output = ()> + 'static>(
    address: impl ToAddresses,
    mut handler: impl FnMut(StreamReader, StreamWriter) -> F + 'static,
) -> io::Result<Server> {
    let listener = TcpListener::bind(address).await?;
    let address = Some(listener.local_addr()?);
    let accepting = crate::spawn_named("server", async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // A connection that is gone already says so when it is read.
                    drop(stream.set_nodelay(true));
                    let (reader, writer) = stream.into();
                    crate::spawn(handler(reader, writer)).detach();
                }
                Err(error) => pause(&error).await,
            }
        }
    });
    Ok(Server { accepting, address })
}

/// Serves a Unix socket. asyncio: `asyncio.start_unix_server`.
///
/// # Errors
///
/// The kernel's, such as `AddrInUse` if the path exists.
pub async fn start_unix_server<F: StdFuture<Output = ()> + 'static>(
    path: impl AsRef<Path>,
    mut handler: impl FnMut(StreamReader, StreamWriter) -> F + 'static,
) -> io::Result<Server> {
    let listener = UnixListener::bind(path)?;
    let accepting = crate::spawn_named("server", async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (reader, writer) = stream.into();
                    crate::spawn(handler(reader, writer)).detach();
                }
                Err(error) => pause(&error).await,
            }
        }
    });
    Ok(Server { accepting, address: None })
}

/// A connection that was gone before it was accepted is nothing; out of descriptors is worth a wait.
async fn pause(error: &io::Error) {
    let passing = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    if !passing.contains(&error.kind()) {
        eprintln!("ourio: a server cannot accept, and tries again in {ACCEPT_RETRY_DELAY:?}: {error}");
        crate::sleep(ACCEPT_RETRY_DELAY).await;
    }
}

impl Server {
    /// The address that it serves, if it is one of TCP.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Stops accepting.
    pub fn close(&self) {
        self.accepting.cancel();
    }

    /// Whether it accepts.
    pub fn is_serving(&self) -> bool {
        !self.accepting.done()
    }

    /// Serves until it is closed from elsewhere, or what awaits this is dropped.
    pub async fn serve_forever(mut self) {
        // A server's task ends by being cancelled only.
        drop(poll_fn(|context| std::pin::Pin::new(&mut self.accepting).poll(context)).await);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}
