//! The order of one turn, and nothing else: prepare, absorb, next.
//!
//! `prepare` decides whether the kernel is asked at all. While entries are ready a system call per turn
//! would cost more than the entries themselves, so the poll is skipped, within bounds that keep every
//! promise about fairness: it happens on the first turn after a start, on the turn after one that did
//! I/O, and at the latest after [`SKIPS_MAX`] turns or [`SKIP_TIME_MAX`] of work.

use std::time::Duration;

use super::engine::{Engine, Event};
use super::wait::{Events, Patience, Plan, Wait};
use crate::poll::Origin;
use crate::process::SignalPipe;
use crate::time::Time;

/// Turns in a row that may skip the poll.
pub(crate) const SKIPS_MAX: u32 = 64;
/// How stale the last poll may become while entries are ready: about what a busy turn takes anyway.
pub(crate) const SKIP_TIME_MAX: Duration = Duration::from_micros(50);

/// Turns without timers for one look at the clock.
const TURNS_PER_LOOK: u32 = 8;

impl<C: From<Event>> Engine<C> {
    /// The time for [`Engine::prepare`], which is the clock's unless nobody can tell the difference.
    ///
    /// Reading the clock costs a tenth of a short turn. While no timer waits it serves only to bound how stale the
    /// last poll may become, and for that every few turns are enough.
    #[inline]
    pub fn turn_time(&mut self) -> Time {
        if self.timers.is_empty() && !self.skips.is_multiple_of(TURNS_PER_LOOK) {
            return self.turn_time;
        }
        self.turn_time = self.now();
        self.turn_time
    }

    /// Begins a turn that need not ask the kernel; `false` if it must, which is for [`Engine::prepare`].
    ///
    /// The same turn as one whose wait skips the poll, without carrying the wait around.
    #[inline]
    pub fn begin_without_poll(&mut self, now: Time) -> bool {
        if self.ready.is_empty() || !self.may_skip_poll(now) {
            return false;
        }
        self.counters.turns += 1;
        self.skips += 1;
        self.begin_batch(now);
        true
    }

    fn may_skip_poll(&self, now: Time) -> bool {
        !self.poll_next && self.skips < SKIPS_MAX && now.saturating_since(self.polled_at) < SKIP_TIME_MAX
    }

    /// Makes what is due, and what other threads sent, ready, and fixes the batch.
    fn begin_batch(&mut self, now: Time) {
        self.pulse.turns(self.counters.turns);
        let mut most_overdue = None;
        while let Some((deadline, payload)) = self.timers.pop_due(now) {
            most_overdue = most_overdue.or(Some(deadline));
            self.counters.timers_fired += 1;
            self.ready.push(payload);
        }
        if let Some(deadline) = most_overdue {
            self.meter.lags.record(now.as_nanos().saturating_sub(deadline.as_nanos()));
        }
        if self.inbox.is_filled() {
            self.absorb_inbox();
        }
        self.ready.fix_batch();
    }

    /// Decides whether this turn asks the kernel, and for how long it may sleep.
    pub fn prepare(&mut self, now: Time, patience: Patience) -> Wait {
        let kit = self.take_kit();
        self.counters.turns += 1;
        let (plan, jump) = if !self.ready.is_empty() {
            (if self.may_skip_poll(now) { Plan::Skip } else { Plan::Poll }, None)
        } else {
            self.plan_idle(now, patience)
        };
        match plan {
            Plan::Skip => self.skips += 1,
            Plan::Poll | Plan::Sleep(_) => {
                self.counters.polls += 1;
                self.counters.sleeps += u64::from(matches!(plan, Plan::Sleep(_)));
                // The time that a turn is given may be that of an earlier one: a look at the clock is little beside a sleep.
                let now = if matches!(plan, Plan::Sleep(_)) { self.now() } else { now };
                let busy = now.as_nanos().saturating_sub(self.polled_at.as_nanos());
                self.meter.delays.record(busy);
                self.counters.busy_ns += busy;
                if matches!(plan, Plan::Sleep(_)) {
                    self.pulse.rests(self.counters.turns);
                }
                self.publish_counters();
            }
        }
        Wait { kit, plan, jump }
    }

    fn plan_idle(&mut self, now: Time, patience: Patience) -> (Plan, Option<Time>) {
        let deadline = self.timers.next_deadline();
        if patience == Patience::Poll || deadline.is_some_and(|deadline| deadline <= now) {
            return (Plan::Poll, None);
        }
        if self.clock.simulated().is_some() && deadline.is_some() {
            return (Plan::Poll, deadline);
        }
        if !self.inbox.fall_asleep() {
            return (Plan::Poll, None);
        }
        (Plan::Sleep(deadline.map(|deadline| deadline.saturating_since(now))), None)
    }

    /// Turns what happened into ready entries, in the order that the crate's page gives, and fixes the
    /// batch.
    pub fn absorb(&mut self, events: Events, now: Time) {
        let Events { mut kit, polled, jump } = events;
        let mut now = now;
        if polled {
            self.inbox.wake_up();
            self.polled_at = now;
            self.skips = 0;
            // asyncio: a turn that did I/O is followed by one that looks again.
            self.poll_next = !kit.buffer.is_empty();
            for event in kit.buffer.drain(..) {
                let origin = self.registry.origin(event);
                self.absorb_event(origin);
            }
        }
        if let Some(deadline) = jump
            && self.ready.is_empty()
            && !self.inbox.is_filled()
            && let Some(clock) = self.clock.simulated()
        {
            clock.advance_to(deadline);
            now = clock.now();
        }
        self.kit = Some(kit);
        self.begin_batch(now);
    }

    /// Takes the next entry of the batch; `None` once the batch is done.
    #[expect(clippy::should_implement_trait, reason = "an engine is not an iterator: None is not its end")]
    #[inline]
    pub fn next(&mut self) -> Option<C> {
        let entry = self.ready.pop(&mut self.order);
        // Not taken apart: an entry is 32 bytes, each move of which waits for the one before.
        self.counters.ran += u64::from(entry.is_some());
        entry
    }

    fn absorb_event(&mut self, origin: Origin) {
        match origin {
            Origin::Host(event) => {
                self.counters.io_events += 1;
                self.ready.push(Event::Io(event).into());
            }
            Origin::Signals => self.absorb_signals(),
            Origin::Child(token) => {
                if let Some((child, exit)) = self.children.reap_by_token(token, &mut self.registry) {
                    self.counters.children += 1;
                    self.ready.push(Event::Child { child, exit }.into());
                }
            }
            Origin::Wake => {}
            Origin::Stale => self.counters.stale_events += 1,
        }
    }

    fn absorb_signals(&mut self) {
        let numbers = self.signals.as_ref().map(SignalPipe::take).unwrap_or_default();
        for number in numbers {
            self.counters.signals += 1;
            if number == libc::SIGCHLD {
                for (child, exit) in self.children.reap_by_signal() {
                    self.counters.children += 1;
                    self.ready.push(Event::Child { child, exit }.into());
                }
            }
            self.ready.push(Event::Signal(number).into());
        }
    }

    fn absorb_inbox(&mut self) {
        let mut arrived = std::mem::take(&mut self.arrived);
        self.inbox.take(&mut arrived);
        self.counters.inbox_received += arrived.len() as u64;
        for entry in arrived.drain(..) {
            self.ready.push(entry);
        }
        self.arrived = arrived;
    }
}
