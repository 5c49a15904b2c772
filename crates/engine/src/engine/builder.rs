//! `EngineBuilder`: what an engine is made of.

use super::engine::{Engine, Event};
use crate::error::{Error, Result};
use crate::poll::{Backend, Epoll, Scripted};
use crate::process::Reaping;
use crate::queue::Schedule;
use crate::time::Clock;

/// Chooses an engine's clock, schedule and poller.
#[derive(Debug, Default)]
pub struct EngineBuilder {
    clock: Clock,
    schedule: Schedule,
    script: Option<Scripted>,
    reaping: Reaping,
}

impl EngineBuilder {
    /// Reads this clock; the kernel's by default.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Orders each batch by this policy; FIFO by default.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Polls a script instead of the kernel.
    #[must_use]
    pub fn scripted(mut self, script: Scripted) -> Self {
        self.script = Some(script);
        self
    }

    /// Reaps children on SIGCHLD even where the kernel has pidfds.
    #[must_use]
    pub fn without_pidfd(mut self) -> Self {
        self.reaping = Reaping::Signal;
        self
    }

    /// Makes the engine.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the process or the system is out of descriptors or memory.
    pub fn build<C: From<Event>>(self) -> Result<Engine<C>> {
        let system = |operation| move |source| Error::System { operation, source };
        let backend = match self.script {
            Some(script) => Backend::Scripted(script),
            None => Backend::Epoll(Epoll::new().map_err(system("epoll_create1"))?),
        };
        let bell = backend.bell().map_err(system("eventfd"))?;
        Ok(Engine::assemble(self.clock, self.schedule, self.reaping, backend, bell))
    }
}

impl Engine<Event> {
    /// Chooses what an engine is made of.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }
}

impl<C: From<Event>> Engine<C> {
    /// An engine on the kernel's clock and epoll, in asyncio's order.
    ///
    /// # Errors
    ///
    /// As [`EngineBuilder::build`].
    pub fn new() -> Result<Self> {
        EngineBuilder::default().build()
    }
}
