//! The wait of a turn: decided by the engine, carried out by the host, which may release its locks around it.
//!
//! It is moved out of the engine and comes back as events, so that nobody who waits can touch the engine.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::poll::{EventBuffer, Waiter};
use crate::time::Time;

/// Whether a turn may sleep when nothing is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Sleep until the next deadline or event.
    Block,
    /// Look, and come back at once: the host wants to stop.
    Poll,
}

/// The decision about this turn's system call.
///
/// It is `Send` and holds no payload, so a host may carry it out with its own locks released.
#[derive(Debug)]
#[must_use = "a turn that was prepared must be waited for and absorbed"]
pub struct Wait {
    pub(super) kit: WaitKit,
    pub(super) plan: Plan,
    /// Where a simulated clock jumps to if nothing happened.
    pub(super) jump: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    Skip,
    Poll,
    Sleep(Option<Duration>),
}

/// What a wait needs: moved from the engine into the wait, and back with the events.
pub(super) struct WaitKit {
    pub(super) waiter: Waiter,
    pub(super) buffer: EventBuffer,
}

impl fmt::Debug for WaitKit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitKit").field("events", &self.buffer.len()).finish_non_exhaustive()
    }
}

/// What a wait has found, for [`Engine::absorb`](crate::Engine::absorb).
#[derive(Debug)]
pub struct Events {
    pub(super) kit: WaitKit,
    pub(super) polled: bool,
    pub(super) jump: Option<Time>,
}

impl Wait {
    /// Whether [`Wait::block`] may sleep; if not, it is too short to be worth releasing a lock for.
    pub fn may_sleep(&self) -> bool {
        matches!(self.plan, Plan::Sleep(_))
    }

    /// Carries the decision out. A signal ends the sleep early, with no events.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the kernel refuses to wait, which means that it is out of memory.
    pub fn block(mut self) -> Result<Events> {
        let timeout = match self.plan {
            Plan::Skip => return Ok(Events { kit: self.kit, polled: false, jump: None }),
            Plan::Poll => Some(Duration::ZERO),
            Plan::Sleep(timeout) => timeout,
        };
        self.ask(timeout)?;
        Ok(self.into_events())
    }

    /// The same, but asks the kernel again and again, instead of sleeping, while `stays_awake`.
    ///
    /// # Errors
    ///
    /// As [`Wait::block`].
    pub fn block_after(mut self, mut stays_awake: impl FnMut() -> bool) -> Result<Events> {
        let Plan::Sleep(timeout) = self.plan else { return self.block() };
        // A script counts how often it is asked.
        if matches!(self.kit.waiter, Waiter::Epoll(_)) {
            let began = Instant::now();
            while stays_awake() {
                self.ask(Some(Duration::ZERO))?;
                if !self.kit.buffer.is_empty() || timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
                    return Ok(self.into_events());
                }
            }
            self.plan = Plan::Sleep(timeout.map(|timeout| timeout.saturating_sub(began.elapsed())));
        }
        self.block()
    }

    fn ask(&mut self, timeout: Option<Duration>) -> Result<()> {
        let waited: io::Result<()> = self.kit.waiter.wait(&mut self.kit.buffer, timeout);
        waited.map_err(|source| Error::System { operation: "epoll_wait", source })
    }

    fn into_events(self) -> Events {
        Events { kit: self.kit, polled: true, jump: self.jump }
    }
}
