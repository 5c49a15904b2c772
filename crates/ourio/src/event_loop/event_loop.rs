//! `EventLoop`: one loop, one thread at a time; how it is run, and what it can be asked for.

use std::fmt;
use std::future::Future as StdFuture;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use ourio_engine::{Time, Trace};

use super::driver::Driver;
use super::loop_handle::LoopHandle;
use super::main_future::MainFuture;
use crate::error::{Error, Result};
use crate::insight::SlowPoll;
use crate::reactor::{self, Side};
use crate::scheduling::{Handle, at, running, soon};
use crate::task::Task;

/// An event loop: runs tasks and callbacks in the thread that runs it.
///
/// The order of a turn is asyncio's: what descriptors report, due timers, then what was scheduled before the turn,
/// first in, first out.
///
/// # Threads
///
/// A loop is not `Send`. Other threads reach it through a [`LoopHandle`], and by waking its tasks.
pub struct EventLoop {
    driver: Driver,
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("running", &self.is_running())
            .field("closed", &self.is_closed())
            .field("tasks", &self.driver.scheduler.table.len())
            .finish_non_exhaustive()
    }
}

/// asyncio: `slow_callback_duration`.
pub(super) const SLOW_AFTER: Duration = Duration::from_millis(100);

impl EventLoop {
    pub(super) fn of(driver: Driver) -> Self {
        Self { driver }
    }

    /// Runs until the future is done, and gives its result. The loop can be run again.
    ///
    /// The future is a task like any other ([`current_task`](crate::current_task)), except that it may borrow.
    ///
    /// # Errors
    ///
    /// [`Error::Running`], [`Error::Closed`], [`Error::Stopped`] if [`stop`](EventLoop::stop) ends it first,
    /// [`Error::System`] if the kernel refuses to wait, [`Error::Panicked`], [`Error::Cancelled`],
    /// [`Error::Deadlock`]. The future is dropped in any case.
    #[track_caller]
    pub fn run_until_complete<T>(&self, future: impl StdFuture<Output = T>) -> Result<T> {
        let scheduler = &self.driver.scheduler;
        if scheduler.is_closed() {
            return Err(Error::Closed);
        }
        let entered = self.enter()?;
        // Its context is a copy, so that what it sets ends with it.
        let id = scheduler.insert_main(Location::caller());
        let future = pin!(Some(future));
        let mut main = MainFuture::new(future);
        let driven = self.driver.drive(Some(&mut main));
        // In its context, and while the loop still runs: destructors may look at both.
        let context = scheduler.table.look(id, |slot| slot.context.take()).flatten();
        let outcome = main.end(context);
        drop(entered);
        scheduler.remove_main(id);
        driven?;
        outcome.unwrap_or(Err(Error::Stopped))
    }

    /// Runs until [`stop`](EventLoop::stop).
    ///
    /// # Errors
    ///
    /// As [`run_until_complete`](EventLoop::run_until_complete).
    pub fn run_forever(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::Closed);
        }
        let _entered = self.enter()?;
        self.driver.drive(None)
    }

    /// Ends the run after the turn that is under way; before a run, after its first turn.
    pub fn stop(&self) {
        self.driver.stopping.set(true);
    }

    /// Whether it runs, in this thread.
    pub fn is_running(&self) -> bool {
        running::with(|running| Rc::ptr_eq(running, &self.driver.scheduler)).unwrap_or(false)
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.driver.scheduler.is_closed()
    }

    /// Drops every task and callback. Nothing can be run afterwards. Waits for blocking calls that are under way.
    ///
    /// # Errors
    ///
    /// [`Error::Running`] while it runs.
    pub fn close(&self) -> Result<()> {
        if self.is_running() {
            return Err(Error::Running);
        }
        self.driver.close();
        Ok(())
    }

    /// The loop's time: seconds of no particular origin, never going back.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.driver.scheduler.now().as_nanos())
    }

    /// Whether steps of tasks are timed; those of 100 ms or more are then reported.
    pub fn set_debug(&self, debug: bool) {
        self.driver.timing.limit.set(debug.then_some(SLOW_AFTER));
    }

    /// Calls a function with every slow step, in place of printing it to standard error.
    pub fn on_slow_poll(&self, tell: impl Fn(&SlowPoll) + 'static) {
        self.driver.timing.tell(tell);
    }

    /// Runs a future as a task of this loop, which need not run yet. asyncio: `loop.create_task`.
    #[track_caller]
    pub fn spawn<T: 'static>(&self, future: impl StdFuture<Output = T> + 'static) -> Task<T> {
        Task::spawn(&self.driver.scheduler, future, None, Location::caller())
    }

    /// Calls a function in the next turn, first in, first out, in a copy of the context of whoever asks.
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> Handle {
        soon(&self.driver.scheduler, callback)
    }

    /// Calls a function after a delay, never before.
    pub fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> Handle {
        at(&self.driver.scheduler, self.driver.scheduler.now().saturating_add(delay), callback)
    }

    /// Calls a function at a time of this loop's clock ([`EventLoop::time`]), never before.
    pub fn call_at(&self, when: Duration, callback: impl FnOnce() + 'static) -> Handle {
        at(&self.driver.scheduler, Time::ZERO.saturating_add(when), callback)
    }

    /// Calls a function whenever a descriptor is readable. An earlier one of the same descriptor is replaced.
    ///
    /// It is called at every turn for as long as there is something to read. [`EventLoop::remove_reader`] must come
    /// before the descriptor is closed. For descriptors of others: the sockets of [`net`](crate::net) are awaited.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the descriptor cannot be polled, as a regular file cannot.
    pub fn add_reader(&self, fd: impl AsFd, callback: impl FnMut() + 'static) -> Result<()> {
        Ok(self.driver.reactor.descriptors.add_callback(
            fd.as_fd().as_raw_fd(),
            Side::Read,
            Box::new(callback),
        )?)
    }

    /// Ends [`EventLoop::add_reader`]; false if there was none.
    pub fn remove_reader(&self, fd: impl AsFd) -> bool {
        self.driver.reactor.descriptors.remove_callback(fd.as_fd().as_raw_fd(), Side::Read)
    }

    /// Calls a function whenever a descriptor is writable, as [`EventLoop::add_reader`] does for readable ones.
    ///
    /// # Errors
    ///
    /// As [`EventLoop::add_reader`].
    pub fn add_writer(&self, fd: impl AsFd, callback: impl FnMut() + 'static) -> Result<()> {
        Ok(self.driver.reactor.descriptors.add_callback(
            fd.as_fd().as_raw_fd(),
            Side::Write,
            Box::new(callback),
        )?)
    }

    /// Ends [`EventLoop::add_writer`]; false if there was none.
    pub fn remove_writer(&self, fd: impl AsFd) -> bool {
        self.driver.reactor.descriptors.remove_callback(fd.as_fd().as_raw_fd(), Side::Write)
    }

    /// Calls a function whenever a signal arrives. An earlier one of the same signal is replaced.
    ///
    /// # Errors
    ///
    /// [`Error::System`] for a signal that the kernel does not know, or that cannot be caught.
    pub fn add_signal_handler(&self, signal: i32, callback: impl FnMut() + 'static) -> Result<()> {
        Ok(self.driver.reactor.signals.set_handler(signal, Box::new(callback))?)
    }

    /// Ends [`EventLoop::add_signal_handler`]; false if there was none.
    pub fn remove_signal_handler(&self, signal: i32) -> bool {
        self.driver.reactor.signals.remove_handler(signal)
    }

    /// The choices of its schedule so far, if it makes any.
    pub(crate) fn trace(&self) -> Option<Trace> {
        self.driver.scheduler.engine.borrow().trace().cloned()
    }

    /// Makes it the loop that runs in this thread.
    fn enter(&self) -> Result<(reactor::running::Entered, running::Entered)> {
        let scheduler = running::Entered::enter(&self.driver.scheduler).ok_or(Error::Running)?;
        Ok((reactor::running::Entered::enter(&self.driver.reactor), scheduler))
    }

    /// A handle for other threads.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle::of(&self.driver.scheduler)
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        self.driver.close();
    }
}
