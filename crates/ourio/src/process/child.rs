//! `Child`: a program that was started, and its end.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Output};
use std::rc::Rc;

use ourio_engine::Exit;
use rustix::process::{Pid, Signal, kill_process};

use super::pipe::Pipe;
use crate::gather::join3;
use crate::reactor::ChildEnd;

/// A program that was started.
///
/// Dropping it lets the program go on; its end is still seen to, so that it does not stay a zombie.
pub struct Child {
    /// Its standard input, if it was piped.
    pub stdin: Option<Pipe>,
    /// Its standard output, if it was piped.
    pub stdout: Option<Pipe>,
    /// Its standard error, if it was piped.
    pub stderr: Option<Pipe>,
    pub(super) pid: u32,
    pub(super) end: Rc<ChildEnd>,
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("pid", &self.pid)
            .field("exit", &self.end.exit())
            .finish_non_exhaustive()
    }
}

impl Child {
    /// The process's number.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub fn returncode(&self) -> Option<ExitStatus> {
        self.end.exit().map(status)
    }

    /// Waits for its end; any number of times.
    ///
    /// A child that writes into a pipe that nobody reads never ends; [`Child::communicate`] reads.
    pub async fn wait(&self) -> ExitStatus {
        status(poll_fn(|context| self.end.poll(context, self.pid)).await)
    }

    /// Writes to its input, closes it, reads both outputs to their end, and waits. asyncio: `Process.communicate`.
    ///
    /// # Errors
    ///
    /// Of the pipes; a child that closes its input early is none.
    pub async fn communicate(mut self, input: &[u8]) -> io::Result<Output> {
        let (stdin, stdout, stderr) = (self.stdin.take(), self.stdout.take(), self.stderr.take());
        let feed = async move {
            let Some(stdin) = stdin else { return Ok(()) };
            match stdin.write_all(input).await {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                done => done,
            }
        };
        let read = async |pipe: Option<Pipe>| match pipe {
            Some(pipe) => pipe.read_to_end().await,
            None => Ok(Vec::new()),
        };
        let (fed, stdout, stderr) = join3(feed, read(stdout), read(stderr)).await;
        fed?;
        Ok(Output { status: self.wait().await, stdout: stdout?, stderr: stderr? })
    }

    /// Sends a signal, if it has not ended.
    ///
    /// # Errors
    ///
    /// The kernel's: `InvalidInput` for a number that is no signal, `PermissionDenied`; `NotFound` once it has ended.
    pub fn send_signal(&self, signal: i32) -> io::Result<()> {
        if self.end.exit().is_some() {
            // The number may be another process's by now.
            return Err(io::ErrorKind::NotFound.into());
        }
        let signal = Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
        let pid = Pid::from_raw(self.pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(kill_process(pid, signal)?)
    }

    /// Ends it at once: `SIGKILL`.
    ///
    /// # Errors
    ///
    /// As [`Child::send_signal`].
    pub fn kill(&self) -> io::Result<()> {
        self.send_signal(Signal::KILL.as_raw())
    }

    /// Asks it to end: `SIGTERM`.
    ///
    /// # Errors
    ///
    /// As [`Child::send_signal`].
    pub fn terminate(&self) -> io::Result<()> {
        self.send_signal(Signal::TERM.as_raw())
    }
}

fn status(exit: Exit) -> ExitStatus {
    ExitStatus::from_raw(match exit {
        Exit::Code(code) => (code & 0xff) << 8,
        Exit::Signal(signal) => signal & 0x7f,
        // asyncio: a child that somebody else has reaped counts as 255.
        Exit::Unknown => 255 << 8,
    })
}
