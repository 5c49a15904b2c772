//! Processes: started, awaited, and spoken with through pipes. asyncio: `asyncio.subprocess`.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::{ExitStatus, Output, Stdio};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use ourio_engine::{ChildId, Exit};
use rustix::process::{Pid, Signal, kill_process};

use crate::reactor::{Evented, Side, write_all};
use crate::scheduling::Inner;
use crate::scheduling::running;
use crate::waiters::{Waiter, Waits};

/// A child whose end somebody may wait for.
#[derive(Default)]
pub(crate) struct Waiting {
    exit: Cell<Option<Exit>>,
    waiters: RefCell<Vec<Waiter>>,
}

impl Inner {
    pub(crate) fn deliver_exit(&self, child: ChildId, exit: Exit) {
        let waiting = self.children.borrow_mut().remove(&child);
        if let Some(waiting) = waiting {
            waiting.exit.set(Some(exit));
            for waiter in waiting.waiters.take() {
                waiter.wake();
            }
        }
    }
}

/// A program that is about to be started.
///
/// ```
/// use ourio::process::Command;
///
/// let output = ourio::run(async { Command::new("echo").arg("hello").output().await })??;
/// assert_eq!(output.stdout, b"hello\n");
/// assert!(output.status.success());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Command {
    std: std::process::Command,
}

impl From<std::process::Command> for Command {
    fn from(std: std::process::Command) -> Self {
        Self { std }
    }
}

impl Command {
    /// A program, found as a shell would find it.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { std: std::process::Command::new(program) }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.std.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.std.args(arguments);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.std.env(name, value);
        self
    }

    /// Where its standard input comes from; the parent's by default.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.std.stdin(stdin);
        self
    }

    /// Where its standard output goes; the parent's by default.
    #[must_use]
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.std.stdout(stdout);
        self
    }

    /// Where its standard error goes; the parent's by default.
    #[must_use]
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.std.stderr(stderr);
        self
    }

    /// Everything else that a command has.
    pub fn as_std(&mut self) -> &mut std::process::Command {
        &mut self.std
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// The kernel's: `NotFound`, `PermissionDenied`, out of descriptors or processes.
    ///
    /// # Panics
    ///
    /// If no loop runs in this thread.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        let inner = running::expect();
        let mut std = self.std.spawn()?;
        let pid = std.id();
        let watched = inner.engine.borrow_mut().watch_child(pid.cast_signed());
        let child = match watched {
            Ok(child) => child,
            Err(error) => {
                // Nobody would ever see its end: it is not left behind.
                drop(std.kill());
                drop(std.wait());
                return Err(crate::reactor::as_io(error));
            }
        };
        let waiting = Rc::new(Waiting::default());
        inner.children.borrow_mut().insert(child, Rc::clone(&waiting));
        Ok(Child {
            stdin: std.stdin.take().map(|pipe| Pipe::new(pipe.into())).transpose()?,
            stdout: std.stdout.take().map(|pipe| Pipe::new(pipe.into())).transpose()?,
            stderr: std.stderr.take().map(|pipe| Pipe::new(pipe.into())).transpose()?,
            pid,
            waiting,
        })
    }

    /// Runs it to its end; its streams are those of this process unless they were set.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`].
    pub async fn status(&mut self) -> io::Result<ExitStatus> {
        Ok(self.spawn()?.wait().await)
    }

    /// Runs it to its end, and gives what it has written.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`], and of reading its pipes.
    pub async fn output(&mut self) -> io::Result<Output> {
        self.std.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn()?.communicate(&[]).await
    }
}

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
    pid: u32,
    waiting: Rc<Waiting>,
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("pid", &self.pid)
            .field("exit", &self.waiting.exit)
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
        self.waiting.exit.get().map(status)
    }

    /// Waits for its end; any number of times.
    ///
    /// A child that writes into a pipe that nobody reads never ends; [`Child::communicate`] reads.
    pub async fn wait(&self) -> ExitStatus {
        poll_fn(|context| {
            if let Some(exit) = self.waiting.exit.get() {
                return Poll::Ready(status(exit));
            }
            let waiter = Waiter::of(context, || Waits::Process(self.pid));
            let mut waiters = self.waiting.waiters.borrow_mut();
            if !waiters.iter().any(|known| known.is_same(&waiter)) {
                waiters.push(waiter);
            }
            Poll::Pending
        })
        .await
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
        let (fed, stdout, stderr) = crate::gather::join3(feed, read(stdout), read(stderr)).await;
        fed?;
        Ok(Output { status: self.wait().await, stdout: stdout?, stderr: stderr? })
    }

    /// Sends a signal, if it has not ended.
    ///
    /// # Errors
    ///
    /// The kernel's: `InvalidInput` for a number that is no signal, `PermissionDenied`; `NotFound` once it has ended.
    pub fn send_signal(&self, signal: i32) -> io::Result<()> {
        if self.waiting.exit.get().is_some() {
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
