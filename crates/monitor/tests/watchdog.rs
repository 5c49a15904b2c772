//! The watchdog on an engine whose host blocks on purpose.

use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ourio_engine::{Engine, Event, Patience, Pulse};
use ourio_monitor::{Activity, Stall, Watchdog};
use rustix::event::{PollFd, PollFlags, Timespec};

/// Longer than anybody waits for anything that works.
const PATIENCE: Duration = Duration::from_secs(20);

fn engine() -> Engine<Event> {
    let mut engine = Engine::new().expect("an engine");
    engine.begin_run();
    engine
}

/// A turn that does this.
fn turn(engine: &mut Engine<Event>, work: impl FnOnce()) {
    let events = engine.prepare(engine.now(), Patience::Poll).block().expect("a poll");
    engine.absorb(events, engine.now());
    work();
}

/// Waits for the first stall that is as wanted.
fn find(watchdog: &Watchdog, wanted: impl Fn(&Stall) -> bool) -> Stall {
    let began = Instant::now();
    loop {
        if let Some(found) = watchdog.news().into_iter().find(&wanted) {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "no such stall");
        thread::sleep(Duration::from_millis(1));
    }
}

fn burn(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::black_box(0);
    }
}

#[test]
fn a_turn_that_sleeps_in_the_kernel_is_told_while_it_does_with_the_call() {
    let mut engine = engine();
    let watchdog = Watchdog::start(engine.pulse(), Duration::from_millis(20), || ()).expect("a thread");
    let asking = thread::scope(|scope| {
        let asking = scope.spawn(|| find(&watchdog, |stall| !stall.is_over && stall.states.len() > 2));
        turn(&mut engine, || thread::sleep(Duration::from_millis(300)));
        asking.join().expect("no panic")
    });
    let last = asking.states.last().expect("it was looked at");
    assert_eq!(last.activity, Activity::Sleeping);
    // A container may hide the call.
    if let Some(call) = last.call {
        assert_eq!(call.name(), Some("clock_nanosleep"));
    }
    turn(&mut engine, || {});
    engine.end_run();
    let over = find(&watchdog, |stall| stall.is_over);
    assert_eq!(over.beat, asking.beat);
    assert!(over.blocked >= Duration::from_millis(200), "{over:?}");
    assert!(!watchdog.is_still(over.beat));
}

#[test]
fn a_turn_that_computes_is_told_as_running() {
    let mut engine = engine();
    let watchdog = Watchdog::start(engine.pulse(), Duration::from_millis(20), || ()).expect("a thread");
    turn(&mut engine, || burn(Duration::from_millis(200)));
    let stall = find(&watchdog, |_| true);
    assert!(stall.states.iter().all(|state| state.activity == Activity::Running), "{stall:?}");
    assert!(stall.states.last().expect("one").cpu > stall.states[0].cpu);
}

#[test]
fn a_loop_that_rests_or_turns_or_does_not_run_is_no_stall() {
    let mut engine = engine();
    let watchdog = Watchdog::start(engine.pulse(), Duration::from_millis(20), || ()).expect("a thread");
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(100) {
        turn(&mut engine, || burn(Duration::from_micros(100)));
    }
    engine.schedule_at(engine.now().saturating_add(Duration::from_millis(100)), Event::Signal(0));
    let events = engine.prepare(engine.now(), Patience::Block).block().expect("a sleep");
    engine.absorb(events, engine.now());
    engine.end_run();
    thread::sleep(Duration::from_millis(100));
    assert!(watchdog.news().is_empty());
}

#[test]
fn watchdogs_come_and_go_without_a_loop() {
    for _ in 0..50 {
        let watchdog = Watchdog::start(Pulse::default(), Duration::from_millis(1), || ()).expect("a thread");
        assert!(watchdog.news().is_empty());
    }
}

#[test]
fn who_wants_to_know_is_called_while_a_stall_goes_on_and_finds_the_news() {
    let mut engine = engine();
    let (told, calls) = mpsc::channel();
    let on_stall = move || told.send(()).unwrap_or_default();
    let watchdog = Watchdog::start(engine.pulse(), Duration::from_millis(20), on_stall).expect("a thread");
    turn(&mut engine, || {
        calls.recv_timeout(PATIENCE).expect("a call, in the middle of the turn");
        let news = watchdog.news();
        assert!(news.iter().any(|stall| !stall.is_over), "{news:?}");
    });
    turn(&mut engine, || {});
    engine.end_run();
    find(&watchdog, |stall| stall.is_over);
}

#[test]
fn who_is_called_for_a_stall_is_called_before_the_bell_rings() {
    let mut engine = engine();
    let (begun, watched) = (Arc::new(OnceLock::<Watchdog>::new()), Arc::new(Mutex::new(Vec::new())));
    let (asked, seen) = (Arc::clone(&begun), Arc::clone(&watched));
    let on_stall = move || {
        let Some(watchdog) = asked.get() else { return };
        let bell = watchdog.bell();
        let mut bell = [PollFd::new(&bell, PollFlags::IN)];
        let rung = rustix::event::poll(&mut bell, Some(&Timespec::default())).expect("a poll") > 0;
        seen.lock().expect("no panic").push((rung, watchdog.peek().len()));
    };
    let watchdog = Watchdog::start(engine.pulse(), Duration::from_millis(20), on_stall).expect("a thread");
    begun.set(watchdog).expect("set once");
    turn(&mut engine, || thread::sleep(Duration::from_millis(30)));
    turn(&mut engine, || thread::sleep(Duration::from_millis(100)));
    engine.end_run();
    begun.get().expect("set").stop();
    // Later calls for the same stall come when the bell was rung for the first, and nobody has asked.
    assert_eq!(watched.lock().expect("no panic").first(), Some(&(false, 1)));
}
