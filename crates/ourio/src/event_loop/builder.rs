//! `LoopBuilder`: how a loop is to behave.

use std::time::Duration;

use ourio_engine::{Clock, Engine, PoolLimits, Schedule, SimulatedClock};

use super::driver::Driver;
use super::event_loop::{EventLoop, SLOW_AFTER};
use crate::error::Result;
use crate::insight::OnDeadlock;
use crate::table::Entry;

/// Chooses how a loop behaves.
#[derive(Debug, Default)]
#[must_use = "nothing is built until it is"]
pub struct LoopBuilder {
    debug: bool,
    slow_after: Option<Duration>,
    on_deadlock: OnDeadlock,
    threads: Option<usize>,
    pub(crate) clock: Option<SimulatedClock>,
    pub(crate) schedule: Schedule,
}

impl LoopBuilder {
    /// Reports steps of tasks that take 100 ms or longer. asyncio: `debug=True`.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Reports steps of tasks that take this long or longer. asyncio: `slow_callback_duration`.
    pub fn slow_callback_duration(mut self, limit: Duration) -> Self {
        self.slow_after = Some(limit);
        self
    }

    /// What happens when every task waits for what can never happen.
    pub fn on_deadlock(mut self, on_deadlock: OnDeadlock) -> Self {
        self.on_deadlock = on_deadlock;
        self
    }

    /// How many threads [`to_thread`](crate::to_thread) may use at most; at least one. Ahead of it, what asyncio's
    /// executor has: `min(32, cpus + 4)`.
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// [`Error::System`](crate::Error::System) if the process is out of descriptors or memory.
    pub fn build(self) -> Result<EventLoop> {
        let clock = self.clock.map_or(Clock::Real, Clock::Simulated);
        let engine: Engine<Entry> = Engine::builder().clock(clock).schedule(self.schedule).build()?;
        let driver = Driver::new(engine);
        driver.timing.limit.set(self.slow_after.or(self.debug.then_some(SLOW_AFTER)));
        driver.deadlocks.on_deadlock.set(self.on_deadlock);
        if let Some(threads) = self.threads {
            driver.reactor.jobs.limit(PoolLimits { threads, ..PoolLimits::default() });
        }
        Ok(EventLoop::of(driver))
    }
}

impl EventLoop {
    /// A loop on the kernel's clock and poller.
    ///
    /// # Errors
    ///
    /// [`Error::System`](crate::Error::System) if the process is out of descriptors or memory.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Chooses how a loop behaves.
    pub fn builder() -> LoopBuilder {
        LoopBuilder::default()
    }
}
