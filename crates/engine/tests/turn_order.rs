//! The order of a turn, poll skipping, virtual time and replay.

use std::time::Duration;

use ourio_engine::{
    Clock, Engine, EngineBuilder, Event, Interest, Patience, Schedule, Scripted, SimulatedClock, Time,
};

#[derive(Debug, PartialEq, Clone)]
enum Work {
    Named(&'static str),
    Number(u64),
    Event(Event),
}

impl From<Event> for Work {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

fn turn<C: From<Event>>(engine: &mut Engine<C>) {
    let events = engine.prepare(engine.now(), Patience::Poll).block().expect("a poll");
    engine.absorb(events, engine.now());
}

fn batch<C: From<Event>>(engine: &mut Engine<C>) -> Vec<C> {
    turn(engine);
    std::iter::from_fn(|| engine.next()).collect()
}

#[test]
fn what_was_ready_comes_first_then_descriptors_then_timers_then_other_threads() {
    let script = Scripted::new();
    let handle = script.handle();
    handle.level(5, Interest::READ);
    let clock = SimulatedClock::default();
    let mut engine: Engine<Work> = EngineBuilder::default()
        .scripted(script)
        .clock(Clock::Simulated(clock.clone()))
        .build()
        .expect("an engine");
    engine.remote().send(Work::Named("thread")).expect("open");
    engine.schedule_at(Time::from_nanos(2), Work::Named("later timer"));
    engine.schedule_at(Time::from_nanos(1), Work::Named("timer"));
    engine.schedule_at(Time::from_nanos(1), Work::Named("timer of the same time"));
    let token = engine.watch(5, Interest::READ).expect("watch");
    engine.schedule(Work::Named("ready"));
    clock.advance(Duration::from_nanos(2));
    let order = batch(&mut engine);
    assert!(matches!(&order[1], Work::Event(Event::Io(event)) if event.token == token));
    let names: Vec<_> = order.iter().filter(|work| matches!(work, Work::Named(_))).cloned().collect();
    assert_eq!(names, ["ready", "timer", "timer of the same time", "later timer", "thread"].map(Work::Named));
}

#[test]
fn an_entry_scheduled_by_the_batch_waits_for_the_next_turn() {
    let mut engine: Engine<Work> = Engine::new().expect("an engine");
    engine.schedule(Work::Number(1));
    turn(&mut engine);
    assert_eq!(engine.next(), Some(Work::Number(1)));
    engine.schedule(Work::Number(2));
    assert_eq!(engine.next(), None);
    assert_eq!(batch(&mut engine), [Work::Number(2)]);
}

#[test]
fn a_chain_of_ready_entries_skips_polls_but_not_for_ever() {
    let script = Scripted::new();
    let handle = script.handle();
    let clock = Clock::Simulated(SimulatedClock::starting_at(Time::from_nanos(1_000_000)));
    let mut engine: Engine<Work> =
        EngineBuilder::default().scripted(script).clock(clock).build().expect("an engine");
    for turns in 1..=65 {
        engine.schedule(Work::Number(turns));
        batch(&mut engine);
        assert_eq!(handle.waits(), 1, "after {turns} turns");
    }
    engine.schedule(Work::Number(66));
    batch(&mut engine);
    assert_eq!(handle.waits(), 2);
}

#[test]
fn a_chain_polls_once_fifty_microseconds_have_passed() {
    let script = Scripted::new();
    let handle = script.handle();
    let clock = SimulatedClock::starting_at(Time::from_nanos(1_000_000));
    let builder = EngineBuilder::default().scripted(script).clock(Clock::Simulated(clock.clone()));
    let mut engine: Engine<Work> = builder.build().expect("an engine");
    engine.schedule(Work::Number(1));
    batch(&mut engine);
    clock.advance(Duration::from_micros(49));
    engine.schedule(Work::Number(2));
    batch(&mut engine);
    assert_eq!(handle.waits(), 1);
    clock.advance(Duration::from_micros(1));
    engine.schedule(Work::Number(3));
    batch(&mut engine);
    assert_eq!(handle.waits(), 2);
}

#[test]
fn a_turn_with_io_is_followed_by_one_that_looks_again() {
    let script = Scripted::new();
    let handle = script.handle();
    handle.level(3, Interest::READ);
    let builder =
        EngineBuilder::default().scripted(script).clock(Clock::Simulated(SimulatedClock::default()));
    let mut engine: Engine<Work> = builder.build().expect("an engine");
    engine.watch(3, Interest::READ).expect("watch");
    for polls in 1..10 {
        engine.schedule(Work::Number(polls));
        batch(&mut engine);
        assert_eq!(handle.waits(), polls);
    }
}

#[test]
fn simulated_time_jumps_to_the_next_deadline_only_when_nothing_is_ready() {
    let clock = SimulatedClock::default();
    let builder = EngineBuilder::default().clock(Clock::Simulated(clock.clone()));
    let mut engine: Engine<Work> = builder.build().expect("an engine");
    let hour = Time::ZERO.saturating_add(Duration::from_secs(3600));
    engine.schedule_at(hour, Work::Named("an hour later"));
    engine.schedule(Work::Named("now"));
    let mut seen = Vec::new();
    while engine.has_work() {
        let events = engine.prepare(engine.now(), Patience::Block).block().expect("a wait");
        engine.absorb(events, engine.now());
        while let Some(work) = engine.next() {
            seen.push((clock.now(), work));
        }
    }
    assert_eq!(seen, [(Time::ZERO, Work::Named("now")), (hour, Work::Named("an hour later"))]);
}

/// A program whose order shows: each entry schedules two more until a depth is reached.
fn order_of(schedule: Schedule) -> (Vec<u64>, Option<String>) {
    let mut engine: Engine<Work> = EngineBuilder::default().schedule(schedule).build().expect("an engine");
    engine.schedule(Work::Number(1));
    let mut seen = Vec::new();
    while engine.has_work() {
        turn(&mut engine);
        while let Some(Work::Number(n)) = engine.next() {
            seen.push(n);
            if n < 64 {
                engine.schedule(Work::Number(2 * n));
                engine.schedule(Work::Number(2 * n + 1));
            }
        }
    }
    (seen, engine.trace().map(ToString::to_string))
}

#[test]
fn fifo_is_the_order_of_arrival() {
    assert_eq!(order_of(Schedule::Fifo), ((1..128).collect(), None));
}

#[test]
fn a_seeded_order_can_be_had_again_from_its_seed_and_from_its_trace() {
    let (first, trace) = order_of(Schedule::Seeded(7));
    assert_ne!(first, (1..128).collect::<Vec<_>>());
    assert_eq!(order_of(Schedule::Seeded(7)).0, first);
    let trace = trace.expect("a seeded order records").parse().expect("its own text");
    assert_eq!(order_of(Schedule::Replay(trace)).0, first);
    assert_ne!(order_of(Schedule::Seeded(8)).0, first);
}

#[test]
fn closing_returns_what_has_not_run_and_refuses_other_threads() {
    let mut engine: Engine<Work> = Engine::new().expect("an engine");
    let remote = engine.remote();
    engine.schedule(Work::Number(1));
    engine.schedule_at(Time::NEVER, Work::Number(2));
    remote.send(Work::Number(3)).expect("open");
    assert_eq!(engine.close(), [1, 2, 3].map(Work::Number));
    assert_eq!(remote.send(Work::Number(4)).expect_err("closed").0, Work::Number(4));
    assert!(engine.watch(0, Interest::READ).is_err(), "the poller is closed");
    assert_eq!(batch(&mut engine), []);
}

#[test]
fn the_counters_page_can_be_read_by_another_thread() {
    let mut engine: Engine<Work> = Engine::new().expect("an engine");
    let page = engine.counters_page();
    engine.schedule(Work::Number(1));
    batch(&mut engine);
    turn(&mut engine);
    let read = std::thread::spawn(move || page.read()).join().expect("no panic");
    assert_eq!((read.turns, read.ran), (2, 1));
}

#[test]
fn an_entry_is_found_by_its_place_in_every_order_while_it_waits() {
    for schedule in [Schedule::Fifo, Schedule::Seeded(7)] {
        let mut engine: Engine<Work> =
            EngineBuilder::default().schedule(schedule).build().expect("an engine");
        let places: Vec<_> = (0..100)
            .map(|number| {
                let place = engine.next_place();
                engine.schedule(Work::Number(number));
                place
            })
            .collect();
        turn(&mut engine);
        let mut seen = Vec::new();
        while let Some(Work::Number(number)) = engine.next() {
            seen.push(number);
            // Later ones were scheduled meanwhile, which changes no place.
            engine.schedule(Work::Named("later"));
            for (other, &place) in (0..100).zip(&places) {
                let found = engine.entry_at(place, |work| *work == Work::Number(other)).cloned();
                assert_eq!(found, (!seen.contains(&other)).then_some(Work::Number(other)));
            }
        }
        assert_eq!(seen.len(), 100);
    }
}

#[test]
fn what_is_left_in_an_entrys_stead_runs() {
    let mut engine: Engine<Work> = Engine::new().expect("an engine");
    engine.schedule(Work::Number(1));
    let place = engine.next_place();
    engine.schedule(Work::Number(2));
    engine.schedule(Work::Number(3));
    let entry = engine.entry_at(place, |work| *work == Work::Number(2)).expect("it waits");
    *entry = Work::Named("nothing");
    assert_eq!(batch(&mut engine), [Work::Number(1), Work::Named("nothing"), Work::Number(3)]);
}
