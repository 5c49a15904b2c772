//! The engine's face: commands, queries, and what it is made of. When what runs is the [turn](super::turn)'s matter.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, RawFd};

use super::wait::WaitKit;
use crate::error::{Error, Result};
use crate::gauge::{Counters, CountersPage, Meter, Pulse};
use crate::inbox::{Arc, Inbox, Remote};
use crate::poll::{Backend, Bell, Interest, IoEvent, Purpose, Registry, Token, event_buffer};
use crate::process::{ChildId, Children, Exit, Reaping, SignalPipe};
use crate::queue::{Divergence, Order, Place, ReadyQueue, Schedule, Trace};
use crate::time::{Clock, Time, TimerId, Timers};

/// Something that happened outside, of which the host makes a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A watched descriptor is ready.
    Io(IoEvent),
    /// A signal arrived. A host that does not know the number ignores it.
    Signal(i32),
    /// A watched child has ended and has been reaped.
    Child {
        /// Which child.
        child: ChildId,
        /// How it ended.
        exit: Exit,
    },
}

/// Decides when payloads of type `C` run.
///
/// The crate's page gives the order of a turn and a whole host.
///
/// # Threads
///
/// An engine belongs to one thread at a time and is not `Send`. Other threads hold a [`Remote`].
pub struct Engine<C> {
    pub(super) ready: ReadyQueue<C>,
    pub(super) timers: Timers<C>,
    pub(super) order: Order,
    pub(super) clock: Clock,
    pub(super) registry: Registry,
    pub(super) children: Children,
    /// Opened by the first use: most loops never see a signal.
    pub(super) signals: Option<SignalPipe>,
    pub(super) inbox: Arc<Inbox<C, Bell>>,
    /// Swapped with the inbox's vector, so that neither is allocated anew. Empty between turns.
    pub(super) arrived: Vec<C>,
    /// `None` while a wait is out.
    pub(super) kit: Option<WaitKit>,
    pub(super) counters: Counters,
    page: CountersPage,
    pub(super) pulse: Pulse,
    pub(super) meter: Meter,
    /// Turns since the last poll. At most `SKIPS_MAX`.
    pub(super) skips: u32,
    pub(super) polled_at: Time,
    /// The clock as the last turn that looked at it saw it.
    pub(super) turn_time: Time,
    /// Set if the next turn must ask the kernel even though entries are ready.
    pub(super) poll_next: bool,
    not_send: PhantomData<*const ()>,
}

impl<C: From<Event>> Engine<C> {
    /// An engine of these parts, with nothing to do.
    pub(super) fn assemble(
        clock: Clock,
        schedule: Schedule,
        reaping: Reaping,
        backend: Backend,
        bell: Bell,
    ) -> Self {
        let mut engine = Engine {
            ready: ReadyQueue::default(),
            timers: Timers::default(),
            order: Order::new(schedule),
            clock,
            registry: Registry::new(backend),
            children: Children::new(reaping),
            signals: None,
            inbox: Arc::new(Inbox::new(bell)),
            arrived: Vec::new(),
            kit: None,
            counters: Counters::default(),
            page: CountersPage::default(),
            pulse: Pulse::default(),
            meter: Meter::default(),
            skips: 0,
            polled_at: Time::ZERO,
            turn_time: Time::ZERO,
            poll_next: true,
            not_send: PhantomData,
        };
        engine.kit = Some(engine.make_kit());
        engine
    }

    /// Appends an entry to the ready queue; it runs in the next turn.
    #[inline]
    pub fn schedule(&mut self, entry: C) {
        self.ready.push(entry);
    }

    /// The place in the order of arrival that the next entry will have that becomes ready.
    #[inline]
    pub fn next_place(&self) -> Place {
        self.ready.next_place()
    }

    /// The entry that was scheduled for a place, while it is ready; `is_it` tells it from others. What is left in its stead
    /// still runs.
    ///
    /// In the order of arrival it is found at once; in another all entries are looked at.
    pub fn entry_at(&mut self, place: Place, is_it: impl Fn(&C) -> bool) -> Option<&mut C> {
        if self.order.is_of_arrival() {
            return self.ready.at(place).filter(|entry| is_it(entry));
        }
        self.ready.iter_mut().find(|entry| is_it(entry))
    }

    /// Makes an entry ready once `deadline` has come, never before.
    pub fn schedule_at(&mut self, deadline: Time, entry: C) -> TimerId {
        self.timers.insert(deadline, entry)
    }

    /// Takes a timer's entry back; `None` if it is ready or has run already.
    pub fn cancel(&mut self, id: TimerId) -> Option<C> {
        self.timers.cancel(id)
    }

    /// Whether a timer still waits for its time.
    pub fn is_scheduled(&self, id: TimerId) -> bool {
        self.timers.contains(id)
    }

    /// Watches a descriptor. A registration that the number had before is superseded.
    ///
    /// The descriptor should be unwatched before it is closed. If it is not, nothing worse happens than
    /// that its token goes quiet.
    ///
    /// # Errors
    ///
    /// * [`Misuse::NegativeDescriptor`](crate::Misuse::NegativeDescriptor).
    /// * [`Error::System`]: `EBADF` if it is not open, `EPERM` if it cannot be polled (a regular file).
    pub fn watch(&mut self, fd: RawFd, interest: Interest) -> Result<Token> {
        self.registry.watch(fd, interest, Purpose::Host)
    }

    /// Changes what a registration watches.
    ///
    /// # Errors
    ///
    /// * [`Misuse::UnknownIdentifier`](crate::Misuse::UnknownIdentifier) if the registration has ended.
    /// * [`Error::System`] as for [`Engine::watch`].
    pub fn rewatch(&mut self, token: Token, interest: Interest) -> Result<()> {
        self.registry.rewatch(token, interest)
    }

    /// Watches for one event: after it, the registration watches nothing until it is armed again. For both sides,
    /// the first event of either disarms both.
    ///
    /// Costs a system call each time, also when nothing changes; in return it holds for whatever file has the
    /// number now, if its owner has closed and used it again meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Engine::rewatch`].
    pub fn arm(&mut self, token: Token, interest: Interest) -> Result<()> {
        self.registry.arm(token, interest)
    }

    /// Ends a registration; `false` if it had ended already. No event of it is delivered afterwards,
    /// except one that is in the ready queue; [`Engine::interest`] tells such a one apart.
    pub fn unwatch(&mut self, token: Token) -> bool {
        self.registry.unwatch(token)
    }

    /// What a registration watches; `None` once it has ended.
    pub fn interest(&self, token: Token) -> Option<Interest> {
        self.registry.interest(token)
    }

    /// The pipe of signals, opened by the first call.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the process or the system is out of descriptors.
    pub fn signals(&mut self) -> Result<&mut SignalPipe> {
        if self.signals.is_none() {
            let pipe = SignalPipe::new()?;
            self.registry.watch(pipe.reader().as_raw_fd(), Interest::READ, Purpose::Signals)?;
            self.signals = Some(pipe);
        }
        self.signals.as_mut().ok_or(Error::Closed)
    }

    /// Reports the end of a child of this process, and reaps it.
    ///
    /// # Errors
    ///
    /// * [`Misuse::Process`](crate::Misuse::Process) for an identifier that is not positive.
    /// * [`Error::System`]: `ESRCH` if there is no such process, or out of descriptors.
    pub fn watch_child(&mut self, pid: i32) -> Result<ChildId> {
        self.signals()?;
        let signals = self.signals.as_mut().ok_or(Error::Closed)?;
        self.children.watch(pid, &mut self.registry, signals)
    }

    /// Stops watching a child, which is then not reaped; `false` if it has ended already.
    pub fn unwatch_child(&mut self, child: ChildId) -> bool {
        self.children.unwatch(child, &mut self.registry)
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote<C> {
        Remote::new(Arc::clone(&self.inbox))
    }

    /// Asks the kernel in the next turn even if entries are ready: a start, or I/O whose answer may be
    /// here already.
    #[inline]
    pub fn poll_soon(&mut self) {
        self.poll_next = true;
    }

    /// A run begins, in this thread: its next turn is the next that the kernel is asked in.
    ///
    /// asyncio: the first turn of a run looks for I/O even if callbacks are ready.
    pub fn begin_run(&mut self) {
        self.poll_soon();
        self.polled_at = self.now();
        self.pulse.runs_in(rustix::thread::gettid().as_raw_nonzero().get());
        self.pulse.turns(self.counters.turns);
    }

    /// A run ends: nothing is expected of the loop from here on.
    pub fn end_run(&mut self) {
        self.pulse.rests(self.counters.turns);
    }

    /// What other threads may see of the loop at any moment.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// How long the loop is busy at a time, and how late its timers are, for other threads to read.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// How often the kernel was asked for events.
    #[inline]
    pub fn polls(&self) -> u64 {
        self.counters.polls
    }

    /// Reads the engine's clock.
    #[inline]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The engine's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether anything is ready, waits for its time, or has arrived in the inbox.
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.timers.is_empty() || self.inbox.is_filled()
    }

    /// Whether the next wait would have no end of its own: nothing is ready, waits for its time or has arrived, and no
    /// descriptor is watched but the engine's own. Other threads and signals may still end it.
    pub fn is_out_of_work(&self) -> bool {
        !self.has_work() && self.registry.len() == usize::from(self.signals.is_some())
    }

    /// How many entries are ready.
    #[inline]
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Looks at every entry that is ready or waits for its time: for a host that traces its objects.
    pub fn entries(&self) -> impl Iterator<Item = &C> {
        self.ready.iter().chain(self.timers.iter())
    }

    /// The entries that are ready, in order.
    pub fn ready_entries(&self) -> impl Iterator<Item = &C> {
        self.ready.iter()
    }

    /// The entries that wait for their time, in no order.
    pub fn waiting_entries(&self) -> impl Iterator<Item = &C> {
        self.timers.iter()
    }

    /// What the engine has done so far.
    pub fn counters(&self) -> Counters {
        Counters {
            ready: self.ready.len() as u64,
            timers: self.timers.len() as u64,
            watched: self.registry.len() as u64,
            ..self.counters
        }
    }

    /// The page on which other threads read the counters.
    pub fn counters_page(&self) -> CountersPage {
        self.page.clone()
    }

    /// The choices of a seeded or replayed schedule so far; `None` under FIFO, which makes none.
    pub fn trace(&self) -> Option<&Trace> {
        self.order.trace()
    }

    /// Where a replayed schedule could not be followed.
    pub fn divergence(&self) -> Option<Divergence> {
        self.order.divergence()
    }

    /// Refuses what other threads send from here on, and returns every entry that has not run: those
    /// that are ready, those that wait for their time, and those in the inbox.
    ///
    /// The poller, the signal pipe and the watches over children are closed. The wake-up descriptor stays
    /// until the last [`Remote`] has gone: another thread may be ringing it at this moment, and must not
    /// ring a stranger's descriptor of the same number.
    pub fn close(&mut self) -> Vec<C> {
        self.kit = None;
        self.children = Children::default();
        self.signals = None;
        self.registry.close();
        let mut left = self.ready.drain();
        left.append(&mut self.timers.drain());
        left.append(&mut self.inbox.close());
        left
    }

    /// Gives an engine that came into this process by `fork` a poller and a signal pipe of its own.
    ///
    /// Both processes would else share one: what this one registers, ends or takes would change the other's.
    /// Registrations, timers and entries stay; a registration whose descriptor was closed on the way goes
    /// quiet. Watches over children end, as the children are the other process's. The wake-up descriptor stays
    /// shared, because handles of other threads hold it: a wake-up of one process may wake the other once more.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the process or the system is out of descriptors or memory; nothing is watched then.
    pub fn renew_after_fork(&mut self) -> Result<()> {
        self.kit = None;
        self.children = Children::default();
        let listened = self.signals.take().map(|pipe| pipe.listened());
        let bell = self.inbox.bell();
        let renewed = self.registry.renew(bell);
        if let Err(source) = renewed {
            self.registry.close();
            return Err(Error::System { operation: "epoll_create1", source });
        }
        self.poll_next = true;
        if let Some(listened) = listened {
            let signals = self.signals()?;
            for number in listened {
                signals.listen(number)?;
            }
        }
        Ok(())
    }

    pub(super) fn publish_counters(&self) {
        self.page.publish(&self.counters());
    }

    pub(super) fn take_kit(&mut self) -> WaitKit {
        // A host that dropped its `Events` has lost them; the level brings them back.
        self.kit.take().unwrap_or_else(|| self.make_kit())
    }

    fn make_kit(&self) -> WaitKit {
        WaitKit { waiter: self.registry.backend().waiter(), buffer: event_buffer() }
    }
}

impl<C> Drop for Engine<C> {
    fn drop(&mut self) {
        // Remotes outlive the engine; they must learn that nobody takes their entries any more.
        drop(self.inbox.close());
    }
}

impl<C> fmt::Debug for Engine<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("ready", &self.ready.len())
            .field("timers", &self.timers.len())
            .field("watched", &self.registry.len())
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
