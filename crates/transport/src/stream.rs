//! The life of a stream connection: reading, writing, half-close, closing, lost.
//!
//! | state | event | next | effect |
//! |---|---|---|---|
//! | open | peer's end of stream, protocol keeps it open | open, read side ended | reading stops |
//! | open | peer's end of stream, otherwise | as `close` | |
//! | open | `write_eof` | open, write side ending | shut the write side down once the queue has drained |
//! | open | `close`, queue empty | lost | schedule `connection_lost(None)` |
//! | open | `close`, queue not empty | closing | reading stops, writing goes on |
//! | closing | queue drained | lost | schedule `connection_lost(None)` |
//! | open or closing | `abort` or an error | lost | discard the queue, schedule `connection_lost(error)` |
//! | lost | anything | lost | nothing; writes are dropped and counted |
//!
//! asyncio: `connection_lost` is called exactly once, always from the loop and never from inside `close`,
//! `abort` or `write`. So the effect is *schedule*, and it comes out exactly once. A protocol that is told to
//! resume may write more, also while the connection is closing (TLS has its close_notify to send): only a
//! queue that is still empty afterwards has drained.

use std::fmt;

use crate::flow::{FlowChange, FlowControl, LimitsError};
use crate::write_queue::WriteQueue;

/// asyncio: `LOG_THRESHOLD_FOR_CONNLOST_WRITES`. A program that goes on writing into a lost connection is
/// warned from this many writes on.
pub const LOST_WRITES_BEFORE_WARNING: u32 = 5;

/// Why `connection_lost` is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Closed in order: the protocol gets `None`.
    Closed,
    /// Aborted, or failed: the protocol gets the error that the host holds, if there is one.
    Aborted,
}

/// What a host must do, each part once, after an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "effects come out once"]
pub struct Effects {
    /// Tell the protocol to pause or to resume writing.
    pub flow: Option<FlowChange>,
    /// Shut the write side of the socket down.
    pub shut_down_write: bool,
    /// Schedule `connection_lost`, and release the descriptor after it.
    pub lost: Option<Loss>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may be queued.
    Open,
    /// The connection is lost: drop it.
    Dropped {
        /// Whether the program must be warned that it is writing into the void.
        warn: bool,
    },
}

/// The program wrote after it had said that it would not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteAfterEof;

impl fmt::Display for WriteAfterEof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cannot call write() after write_eof()")
    }
}

impl std::error::Error for WriteAfterEof {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    Closing,
    /// `connection_lost` has been scheduled.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadSide {
    /// `connection_made` has not been called yet.
    Starting,
    Open,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteSide {
    Open,
    /// `write_eof` was called; the queue has not drained.
    Ending,
    Ended,
}

/// One stream connection.
#[derive(Debug)]
pub struct Stream<B> {
    life: Life,
    read: ReadSide,
    write: WriteSide,
    /// The user's wish; kept while `read` is `Starting`.
    read_paused: bool,
    queue: WriteQueue<B>,
    flow: FlowControl,
    /// Set while the kernel has refused to take more.
    blocked: bool,
    lost_writes: u32,
}

impl<B: AsRef<[u8]>> Default for Stream<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: AsRef<[u8]>> Stream<B> {
    /// A connection that is open and does not read yet.
    pub fn new() -> Self {
        Self {
            life: Life::Open,
            read: ReadSide::Starting,
            write: WriteSide::Open,
            read_paused: false,
            queue: WriteQueue::default(),
            flow: FlowControl::default(),
            blocked: false,
            lost_writes: 0,
        }
    }

    /// `connection_made` has been called, so data may be delivered.
    pub fn start_reading(&mut self) {
        if self.read == ReadSide::Starting {
            self.read = ReadSide::Open;
        }
    }

    /// Stops delivering data; `false` if it is not being delivered.
    pub fn pause_reading(&mut self) -> bool {
        let reading = self.is_reading();
        self.read_paused |= reading;
        reading
    }

    /// Delivers data again; `false` if it was not paused, or the connection is closing.
    pub fn resume_reading(&mut self) -> bool {
        let paused = self.life == Life::Open && self.read_paused;
        if paused {
            self.read_paused = false;
            // asyncio: resuming re-arms the reader even after an end of stream that was kept open.
            if self.read == ReadSide::Ended {
                self.read = ReadSide::Open;
            }
        }
        paused
    }

    /// The protocol has answered `eof_received`.
    pub fn handle_eof(&mut self, keep_open: bool) -> Effects {
        if keep_open {
            self.read = ReadSide::Ended;
            return Effects::default();
        }
        self.close()
    }

    /// Decides whether a write may be queued.
    ///
    /// # Errors
    ///
    /// [`WriteAfterEof`].
    #[inline]
    pub fn admit_write(&mut self) -> Result<Admission, WriteAfterEof> {
        if self.write != WriteSide::Open {
            return Err(WriteAfterEof);
        }
        if self.life != Life::Lost {
            return Ok(Admission::Open);
        }
        let warn = self.lost_writes >= LOST_WRITES_BEFORE_WARNING;
        self.lost_writes = self.lost_writes.saturating_add(1);
        Ok(Admission::Dropped { warn })
    }

    /// Queues a chunk that was admitted.
    #[inline]
    pub fn queue(&mut self, chunk: B) {
        self.queue.push(chunk);
    }

    /// The kernel has taken `count` bytes of the queue. Once the protocol has been told to resume, which may
    /// make it write more, [`Stream::handle_drained`] follows.
    #[must_use = "the protocol waits to be told"]
    pub fn handle_written(&mut self, count: usize) -> Option<FlowChange> {
        self.queue.advance(count);
        self.flow.handle_drain(self.queue.len())
    }

    /// Does what was waiting for an empty queue; nothing if it is not empty.
    pub fn handle_drained(&mut self) -> Effects {
        let mut effects = Effects::default();
        if self.queue.is_empty() {
            self.blocked = false;
            if self.life == Life::Closing {
                effects.lost = self.lose(Loss::Closed);
            } else if self.write == WriteSide::Ending {
                self.write = WriteSide::Ended;
                effects.shut_down_write = true;
            }
        }
        effects
    }

    /// The kernel takes no more for now: what is left waits until the descriptor is writable.
    pub fn handle_blocked(&mut self) -> Effects {
        self.blocked = !self.queue.is_empty();
        Effects { flow: self.flow.handle_growth(self.queue.len()), ..Effects::default() }
    }

    /// Ends the write side once the queue has drained.
    pub fn write_eof(&mut self) -> Effects {
        let mut effects = Effects::default();
        if self.life == Life::Open && self.write == WriteSide::Open {
            self.write = WriteSide::Ending;
            if self.queue.is_empty() {
                self.write = WriteSide::Ended;
                effects.shut_down_write = true;
            }
        }
        effects
    }

    /// Closes in order: no more reading, the queue drains, then the connection is lost.
    pub fn close(&mut self) -> Effects {
        let mut effects = Effects::default();
        if self.life == Life::Open {
            self.life = Life::Closing;
            if self.queue.is_empty() {
                effects.lost = self.lose(Loss::Closed);
            }
        }
        effects
    }

    /// Ends the connection at once; what waits in the queue is discarded and returned, to be dropped when
    /// the host is ready to run destructors.
    pub fn abort(&mut self) -> (Effects, impl Iterator<Item = B> + use<B>) {
        let effects = Effects { lost: self.lose(Loss::Aborted), ..Effects::default() };
        (effects, self.queue.clear())
    }

    /// Sets the marks of flow control.
    ///
    /// # Errors
    ///
    /// [`LimitsError`]; nothing has changed then.
    pub fn set_limits(&mut self, high: Option<usize>, low: Option<usize>) -> Result<Effects, LimitsError> {
        self.flow.set_limits(high, low)?;
        Ok(Effects { flow: self.flow.handle_growth(self.queue.len()), ..Effects::default() })
    }

    /// Whether data may be delivered now.
    #[inline]
    pub fn wants_read(&self) -> bool {
        self.read == ReadSide::Open && self.is_reading()
    }

    /// Whether the descriptor must be watched for writing.
    #[inline]
    pub fn wants_write(&self) -> bool {
        self.blocked && self.life != Life::Lost
    }

    /// asyncio: `is_reading`, true from the start.
    pub fn is_reading(&self) -> bool {
        self.life == Life::Open && !self.read_paused
    }

    /// Whether the connection is closing or lost.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.life != Life::Open
    }

    /// Whether `connection_lost` has been scheduled.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.life == Life::Lost
    }

    /// Whether `write_eof` has been called.
    pub fn is_write_ended(&self) -> bool {
        self.write != WriteSide::Open
    }

    /// Whether the kernel has refused to take more and the queue waits for it.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// What waits to be written.
    #[inline]
    pub fn write_queue(&self) -> &WriteQueue<B> {
        &self.queue
    }

    /// The marks of flow control.
    #[inline]
    pub fn flow(&self) -> &FlowControl {
        &self.flow
    }

    fn lose(&mut self, loss: Loss) -> Option<Loss> {
        if self.life == Life::Lost {
            return None;
        }
        self.life = Life::Lost;
        self.blocked = false;
        self.lost_writes = 1;
        Some(loss)
    }
}
