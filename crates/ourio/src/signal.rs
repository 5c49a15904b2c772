//! Signals as something to await, and the numbers of those that programs most often care about, on Linux.
//!
//! As callbacks they are the loop's: [`EventLoop::add_signal_handler`](crate::EventLoop::add_signal_handler).

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;

use crate::error::Result;
use crate::reactor::{Arrivals, Reactor, running};

/// The terminal is gone, or: read your configuration again.
pub const SIGHUP: i32 = 1;
/// Control-C.
pub const SIGINT: i32 = 2;
/// For the program's own use.
pub const SIGUSR1: i32 = 10;
/// For the program's own use.
pub const SIGUSR2: i32 = 12;
/// Please end.
pub const SIGTERM: i32 = 15;
/// The terminal has another size.
pub const SIGWINCH: i32 = 28;

/// Receives a signal for as long as it lives. asyncio has only the callback: `loop.add_signal_handler`.
///
/// What the signal does otherwise (as control-C ends a program) it does no more, for the rest of the process.
pub struct Signal {
    number: i32,
    arrivals: Rc<Arrivals>,
    reactor: Rc<Reactor>,
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Listens to a signal, on the loop that runs in this thread.
///
/// ```
/// use std::time::Duration;
/// use ourio::signal;
///
/// let stopped = ourio::run(async {
///     let mut terminate = signal::listen(signal::SIGTERM)?;
///     # std::process::Command::new("kill").arg(std::process::id().to_string()).status().expect("kill");
///     ourio::timeout(Duration::from_secs(10), terminate.recv()).await.expect("in time");
///     Ok::<_, ourio::Error>("gracefully")
/// })??;
/// assert_eq!(stopped, "gracefully");
/// # Ok::<(), ourio::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::System`](crate::Error::System) for a signal that cannot be caught.
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn listen(signal: i32) -> Result<Signal> {
    let reactor = running::expect();
    let arrivals = reactor.signals.listen(signal)?;
    Ok(Signal { number: signal, arrivals, reactor })
}

/// Waits for control-C, once.
///
/// # Errors
///
/// [`Error::System`](crate::Error::System) if the process is out of descriptors.
pub async fn ctrl_c() -> Result<()> {
    listen(SIGINT)?.recv().await;
    Ok(())
}

impl Signal {
    /// Waits for the signal's next arrival. Those that came while nobody waited count; several of them may be one.
    pub async fn recv(&mut self) {
        poll_fn(|context| self.arrivals.poll(context)).await;
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.reactor.signals.stop_listening(self.number, &self.arrivals);
    }
}
