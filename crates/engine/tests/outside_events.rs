//! Signals, children and the blocking pool arrive as entries.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use ourio_engine::{
    AdaptiveSpin, BlockingPool, Engine, EngineBuilder, Error, Event, Exit, Misuse, Patience, PoolLimits,
};

#[derive(Debug)]
enum Work {
    Event(Event),
    Done(Result<u32, String>),
}

impl From<Event> for Work {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

/// Runs turns until something is ready, and takes it.
fn wait_for_one(engine: &mut Engine<Work>) -> Work {
    loop {
        if let Some(work) = engine.next() {
            return work;
        }
        let events = engine.prepare(engine.now(), Patience::Block).block().expect("a wait");
        engine.absorb(events, engine.now());
    }
}

#[test]
fn a_signal_of_the_process_is_reported_while_listened_to() {
    let mut engine: Engine<Work> = Engine::new().expect("an engine");
    engine.signals().expect("a pipe").listen(libc::SIGUSR1).expect("listen");
    let shell = format!("kill -USR1 {}", std::process::id());
    assert!(Command::new("sh").args(["-c", &shell]).status().expect("sh").success());
    assert!(matches!(wait_for_one(&mut engine), Work::Event(Event::Signal(libc::SIGUSR1))));
    assert!(engine.signals().expect("a pipe").stop_listening(libc::SIGUSR1));
    assert!(!engine.signals().expect("a pipe").stop_listening(libc::SIGUSR1));
}

#[test]
fn signals_that_cannot_be_caught_are_refused() {
    let mut engine: Engine<Work> = Engine::new().expect("an engine");
    for number in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, 0, -1, 65] {
        let refused = engine.signals().expect("a pipe").listen(number);
        assert!(matches!(refused, Err(Error::Misuse(Misuse::Signal(n))) if n == number), "{number}");
    }
}

#[expect(clippy::zombie_processes, reason = "the engine is what waits for the children")]
fn children_are_reaped_by(builder: impl Fn() -> EngineBuilder) {
    let mut engine: Engine<Work> = builder().build().expect("an engine");
    for (script, expected) in
        [("exit 0", Exit::Code(0)), ("exit 7", Exit::Code(7)), ("kill -9 $$", Exit::Signal(9))]
    {
        let process = Command::new("sh").args(["-c", script]).spawn().expect("sh");
        let pid = i32::try_from(process.id()).expect("a pid");
        let watched = engine.watch_child(pid).expect("watch");
        loop {
            if let Work::Event(Event::Child { child, exit }) = wait_for_one(&mut engine) {
                assert_eq!((child, exit), (watched, expected), "{script}");
                break;
            }
        }
        assert!(!engine.unwatch_child(watched), "it has ended");
    }
}

#[test]
fn a_child_is_reaped_by_its_pidfd() {
    children_are_reaped_by(EngineBuilder::default);
}

#[test]
fn a_child_is_reaped_on_sigchld_where_there_is_no_pidfd() {
    children_are_reaped_by(|| EngineBuilder::default().without_pidfd());
}

#[test]
fn a_child_that_somebody_else_reaped_is_reported_as_unknown() {
    let mut engine: Engine<Work> = Engine::new().expect("an engine");
    let mut process = Command::new("true").spawn().expect("true");
    engine.watch_child(i32::try_from(process.id()).expect("a pid")).expect("watch");
    process.wait().expect("reaped here");
    let work = wait_for_one(&mut engine);
    assert!(matches!(work, Work::Event(Event::Child { exit: Exit::Unknown, .. })), "{work:?}");
}

#[test]
fn a_process_that_is_not_there_is_refused() {
    let mut engine: Engine<Work> = Engine::new().expect("an engine");
    assert!(matches!(engine.watch_child(0), Err(Error::Misuse(Misuse::Process(_)))));
    assert!(matches!(engine.watch_child(-3), Err(Error::Misuse(Misuse::Process(_)))));
    assert_eq!(engine.watch_child(i32::MAX).expect_err("nobody").raw_os_error(), Some(libc::ESRCH));
}

fn complete(outcome: std::thread::Result<u32>) -> Work {
    Work::Done(outcome.map_err(|panic| (*panic.downcast::<&str>().expect("a message")).to_owned()))
}

#[test]
fn a_blocking_job_completes_as_an_entry_and_a_panic_is_its_outcome() {
    let mut engine: Engine<Work> = Engine::new().expect("an engine");
    let pool = BlockingPool::new(PoolLimits::default());
    pool.spawn(&engine.remote(), || 6 * 7, complete).expect("room");
    assert!(matches!(wait_for_one(&mut engine), Work::Done(Ok(42))));
    pool.spawn(&engine.remote(), || panic!("of the job"), complete).expect("room");
    assert!(matches!(wait_for_one(&mut engine), Work::Done(Err(message)) if message == "of the job"));
}

#[test]
fn the_pool_keeps_its_limits() {
    let mut engine: Engine<Work> = Engine::new().expect("an engine");
    let limits = PoolLimits { threads: 2, queue: 3, idle: Duration::from_secs(10) };
    let pool = BlockingPool::new(limits);
    let (release, gate) = mpsc::channel::<()>();
    let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
    let (started, starts) = mpsc::channel();
    let job = || {
        let (gate, started) = (gate.clone(), started.clone());
        move || {
            started.send(()).expect("the test listens");
            gate.lock().expect("no panic").recv().expect("released");
            1
        }
    };
    for _ in 0..2 {
        pool.spawn(&engine.remote(), job(), complete).expect("a thread");
        starts.recv().expect("started");
    }
    for _ in 0..3 {
        pool.spawn(&engine.remote(), job(), complete).expect("room in the queue");
    }
    let refused = pool.spawn(&engine.remote(), job(), complete).expect_err("full");
    assert_eq!(refused.raw_os_error(), Some(libc::EAGAIN));
    assert_eq!(pool.threads(), 2);
    for _ in 0..5 {
        release.send(()).expect("jobs wait");
    }
    for _ in 0..5 {
        assert!(matches!(wait_for_one(&mut engine), Work::Done(Ok(1))));
    }
    pool.shutdown();
    assert_eq!(pool.threads(), 0);
    assert!(matches!(pool.spawn(&engine.remote(), || 0, complete), Err(Error::Closed)));
}

#[test]
fn each_job_is_done_whether_its_thread_is_awake_asleep_or_gone() {
    for round in 0..20 {
        let mut engine: Engine<Work> = Engine::new().expect("an engine");
        let (remote, luck) = (engine.remote(), AdaptiveSpin::default());
        let limits = PoolLimits { threads: 2, queue: 10, idle: Duration::from_millis(1) };
        let pool = BlockingPool::new(limits);
        for n in 0..60 {
            let jobs = n % 3 + 1;
            for job in 0..jobs {
                pool.spawn(&remote, move || job, complete).expect("room");
            }
            let mut sum = 0;
            for _ in 0..jobs {
                while engine.ready_len() == 0 {
                    let wait = engine.prepare(engine.now(), Patience::Block);
                    let (events, _) = luck.block(wait, &remote, || true).expect("a wait");
                    engine.absorb(events, engine.now());
                }
                match engine.next() {
                    Some(Work::Done(Ok(job))) => sum += job,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(sum, (0..jobs).sum());
            std::thread::sleep(Duration::from_micros([0, 0, 10, 40, 60, 1500][(n as usize + round) % 6]));
        }
        // The threads are in any state.
        pool.shutdown();
        assert_eq!(pool.threads(), 0);
    }
}
