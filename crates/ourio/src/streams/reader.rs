//! `StreamReader`: what has been read of a connection and not asked for yet.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use super::connection::Connection;

/// How much a reader keeps at most, which is also how long a line may be. asyncio: the `limit` of `open_connection`.
pub const DEFAULT_LIMIT: usize = 64 * 1024;

const READ_AT_ONCE: usize = 64 * 1024;

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
    pub(super) fn over(connection: Rc<Connection>) -> Self {
        Self { connection, kept: VecDeque::new(), scratch: Vec::new(), limit: DEFAULT_LIMIT, ended: false }
    }

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
