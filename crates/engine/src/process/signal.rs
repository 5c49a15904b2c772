//! Signals as events: a pipe of signal numbers.
//!
//! A signal handler may do next to nothing, so it writes the signal's number as one byte into a pipe that
//! the engine polls. `signalfd` was rejected: it needs the signals blocked in every thread, and children
//! would inherit that mask. Writers are handlers installed through `signal-hook-registry` (which chains,
//! so nobody's handler is displaced), or a host's own machinery: `signal.set_wakeup_fd` of Python writes
//! exactly this format. A full pipe loses a repetition of a signal, never its first delivery, as the
//! kernel itself does with pending signals.
#![expect(unsafe_code, reason = "installing a signal action is unsafe by nature")]

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook_registry::{FORBIDDEN, SigId};

use crate::error::{Error, Misuse, Result};

/// The engine's pipe of signal numbers.
#[derive(Debug)]
pub struct SignalPipe {
    /// Dropped before the pipe: each entry's action holds the writing end.
    listening: Vec<Listening>,
    reader: OwnedFd,
    writer: SignalWriter,
}

struct Listening {
    number: i32,
    id: SigId,
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listening").field(&self.number).finish()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        signal_hook_registry::unregister(self.id);
    }
}

/// The writing end. Clones write to the same pipe.
///
/// # Threads
///
/// Usable from any thread and from signal handlers.
#[derive(Debug, Clone)]
pub struct SignalWriter {
    fd: Arc<OwnedFd>,
}

impl SignalWriter {
    /// Reports a signal. Numbers outside `1..=255` are ignored, as no kernel has them.
    pub fn raise(&self, number: i32) {
        if let Ok(byte @ 1..) = u8::try_from(number) {
            // A full pipe holds thousands of unread signals already; see the module's text.
            let _ = rustix::io::write(&*self.fd, &[byte]);
        }
    }

    /// The descriptor, for a host that writes signal numbers itself. It stays open as long as the engine.
    pub fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl SignalPipe {
    pub(crate) fn new() -> Result<Self> {
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (reader, writer) = pipe_with(flags).map_err(Error::system("pipe2"))?;
        Ok(Self { listening: Vec::new(), reader, writer: SignalWriter { fd: Arc::new(writer) } })
    }

    /// The writing end.
    pub fn writer(&self) -> &SignalWriter {
        &self.writer
    }

    /// Has a signal of this process reported. The handlers that are installed already still run.
    ///
    /// # Errors
    ///
    /// [`Misuse::Signal`] for a number that the kernel refuses, or that must not be caught (`SIGKILL`,
    /// `SIGSTOP`, and the faults `SIGILL`, `SIGFPE` and `SIGSEGV`).
    pub fn listen(&mut self, number: i32) -> Result<()> {
        if self.listening.iter().any(|listening| listening.number == number) {
            return Ok(());
        }
        let misuse = || Error::Misuse(Misuse::Signal(number));
        if FORBIDDEN.contains(&number) || !(1..=64).contains(&number) {
            return Err(misuse());
        }
        let writer = self.writer.clone();
        // SAFETY: the action only calls write(2) on a descriptor that it keeps open, which
        // signal-safety(7) allows; it neither allocates nor locks, and rustix leaves errno alone.
        let id = unsafe { signal_hook_registry::register(number, move || writer.raise(number)) };
        self.listening.push(Listening { number, id: id.map_err(|_| misuse())? });
        Ok(())
    }

    /// Ends [`SignalPipe::listen`]; `false` if the signal was not listened to.
    pub fn stop_listening(&mut self, number: i32) -> bool {
        let before = self.listening.len();
        self.listening.retain(|listening| listening.number != number);
        self.listening.len() < before
    }

    /// The numbers that are listened to.
    pub(crate) fn listened(&self) -> Vec<i32> {
        self.listening.iter().map(|listening| listening.number).collect()
    }

    pub(crate) fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Takes the numbers that have been written, at most `SIGNALS_MAX`; the level keeps the rest.
    pub(crate) fn take(&self) -> Vec<i32> {
        let mut bytes = [0u8; SIGNALS_MAX];
        let count = rustix::io::read(&self.reader, &mut bytes).unwrap_or(0);
        bytes[..count].iter().filter(|&&byte| byte != 0).map(|&byte| i32::from(byte)).collect()
    }
}

/// One page's worth would be more than any program sends between two turns.
const SIGNALS_MAX: usize = 256;
