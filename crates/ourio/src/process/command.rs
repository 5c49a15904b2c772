//! `Command`: a program that is about to be started.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Output, Stdio};

use super::child::Child;
use super::pipe::Pipe;
use crate::reactor::{as_io, running};

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
        let reactor = running::expect();
        let mut std = self.std.spawn()?;
        let pid = std.id();
        let end = match reactor.children.watch(pid.cast_signed()) {
            Ok(end) => end,
            Err(error) => {
                // Nobody would ever see its end: it is not left behind.
                drop(std.kill());
                drop(std.wait());
                return Err(as_io(error));
            }
        };
        Ok(Child {
            stdin: std.stdin.take().map(|pipe| Pipe::new(pipe.into())).transpose()?,
            stdout: std.stdout.take().map(|pipe| Pipe::new(pipe.into())).transpose()?,
            stderr: std.stderr.take().map(|pipe| Pipe::new(pipe.into())).transpose()?,
            pid,
            end,
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
