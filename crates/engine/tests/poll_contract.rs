//! The contract of `poll`, clause by clause, on every backend.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use ourio_engine::{Engine, Event, Interest, IoEvent, Misuse, Patience, Readiness, ScriptHandle, Scripted};

/// A world with descriptors in it, as a backend sees it.
trait World {
    fn engine(&self) -> Engine<Event>;
    /// A new descriptor on which nothing can be read, and which can be written.
    fn open(&mut self) -> RawFd;
    fn make_readable(&mut self, fd: RawFd);
    fn make_unreadable(&mut self, fd: RawFd);
    fn hang_up(&mut self, fd: RawFd);
    fn close(&mut self, fd: RawFd);
}

struct Kernel {
    /// The lowest number of this world's own range. Tests run in threads of one process: a number that one of them
    /// closes would otherwise be handed to another at once.
    lowest: RawFd,
    /// Our end and the peer's, by our end's number.
    pairs: BTreeMap<RawFd, (UnixStream, Option<UnixStream>)>,
}

impl Default for Kernel {
    fn default() -> Self {
        static RANGES: AtomicI32 = AtomicI32::new(0);
        const FIRST: RawFd = 400;
        const WIDTH: RawFd = 16;
        let lowest = FIRST + WIDTH * RANGES.fetch_add(1, Ordering::Relaxed);
        Self { lowest, pairs: BTreeMap::new() }
    }
}

impl World for Kernel {
    fn engine(&self) -> Engine<Event> {
        Engine::new().expect("an engine")
    }

    fn open(&mut self) -> RawFd {
        let (ours, peer) = UnixStream::pair().expect("a socket pair");
        ours.set_nonblocking(true).expect("non-blocking");
        let ours =
            UnixStream::from(rustix::io::fcntl_dupfd_cloexec(&ours, self.lowest).expect("a free number"));
        let fd = ours.as_raw_fd();
        self.pairs.insert(fd, (ours, Some(peer)));
        fd
    }

    fn make_readable(&mut self, fd: RawFd) {
        let peer = self.pairs.get_mut(&fd).and_then(|(_, peer)| peer.as_mut()).expect("a peer");
        peer.write_all(b"x").expect("room for a byte");
    }

    fn make_unreadable(&mut self, fd: RawFd) {
        let (ours, _) = self.pairs.get_mut(&fd).expect("open");
        while ours.read(&mut [0; 16]).is_ok_and(|count| count > 0) {}
    }

    fn hang_up(&mut self, fd: RawFd) {
        self.pairs.get_mut(&fd).expect("open").1 = None;
    }

    fn close(&mut self, fd: RawFd) {
        self.pairs.remove(&fd);
    }
}

#[derive(Default)]
struct Script {
    handle: Option<ScriptHandle>,
    levels: BTreeMap<RawFd, Interest>,
}

impl Script {
    fn new() -> (Self, Scripted) {
        let scripted = Scripted::new();
        (Self { handle: Some(scripted.handle()), levels: BTreeMap::new() }, scripted)
    }

    fn level(&mut self, fd: RawFd, readable: bool) {
        let level = Interest { readable, writable: true };
        self.levels.insert(fd, level);
        self.handle.as_ref().expect("a handle").level(fd, level);
    }
}

struct ScriptWorld {
    script: Script,
    scripted: std::cell::RefCell<Option<Scripted>>,
}

impl World for ScriptWorld {
    fn engine(&self) -> Engine<Event> {
        let scripted = self.scripted.borrow_mut().take().expect("one engine per world");
        Engine::builder().scripted(scripted).build().expect("an engine")
    }

    fn open(&mut self) -> RawFd {
        let fd = (0..1024).find(|fd| !self.script.levels.contains_key(fd)).expect("a free number");
        self.script.level(fd, false);
        fd
    }

    fn make_readable(&mut self, fd: RawFd) {
        self.script.level(fd, true);
    }

    fn make_unreadable(&mut self, fd: RawFd) {
        self.script.level(fd, false);
    }

    fn hang_up(&mut self, fd: RawFd) {
        self.script.handle.as_ref().expect("a handle").hang_up(fd);
    }

    fn close(&mut self, fd: RawFd) {
        self.script.levels.remove(&fd);
        self.script.handle.as_ref().expect("a handle").close(fd);
    }
}

/// Runs a clause on each backend.
fn on_each(clause: impl Fn(&mut dyn World)) {
    clause(&mut Kernel::default());
    let (script, scripted) = Script::new();
    clause(&mut ScriptWorld { script, scripted: std::cell::RefCell::new(Some(scripted)) });
}

/// What one turn that asks the kernel reports.
fn reported(engine: &mut Engine<Event>) -> Vec<IoEvent> {
    engine.poll_soon();
    let events = engine.prepare(engine.now(), Patience::Poll).block().expect("a poll");
    engine.absorb(events, engine.now());
    std::iter::from_fn(|| engine.next())
        .map(|event| match event {
            Event::Io(event) => event,
            other => panic!("unexpected {other:?}"),
        })
        .collect()
}

const READABLE: Readiness = Readiness { readable: true, writable: false };
const WRITABLE: Readiness = Readiness { readable: false, writable: true };
const BOTH: Readiness = Readiness { readable: true, writable: true };

#[test]
fn a_level_is_reported_for_as_long_as_it_holds() {
    on_each(|world| {
        let mut engine = world.engine();
        let fd = world.open();
        let token = engine.watch(fd, Interest::READ).expect("watch");
        assert_eq!(reported(&mut engine), []);
        world.make_readable(fd);
        for _ in 0..3 {
            assert_eq!(reported(&mut engine), [IoEvent { token, readiness: READABLE }]);
        }
        world.make_unreadable(fd);
        assert_eq!(reported(&mut engine), []);
    });
}

#[test]
fn only_what_is_watched_is_reported() {
    on_each(|world| {
        let mut engine = world.engine();
        let fd = world.open();
        world.make_readable(fd);
        let token = engine.watch(fd, Interest::WRITE).expect("watch");
        assert_eq!(reported(&mut engine), [IoEvent { token, readiness: WRITABLE }]);
        engine.rewatch(token, Interest::BOTH).expect("rewatch");
        assert_eq!(reported(&mut engine), [IoEvent { token, readiness: BOTH }]);
        engine.rewatch(token, Interest::READ).expect("rewatch");
        assert_eq!(reported(&mut engine), [IoEvent { token, readiness: READABLE }]);
        assert!(engine.unwatch(token));
        assert_eq!(reported(&mut engine), []);
        assert!(!engine.unwatch(token), "a registration ends once");
    });
}

#[test]
fn a_hang_up_wakes_whichever_side_is_watched() {
    on_each(|world| {
        for (interest, readiness) in [(Interest::READ, READABLE), (Interest::WRITE, WRITABLE)] {
            let mut engine = Kernel::default().engine();
            let mut kernel = Kernel::default();
            let fd = kernel.open();
            let token = engine.watch(fd, interest).expect("watch");
            kernel.hang_up(fd);
            assert_eq!(reported(&mut engine), [IoEvent { token, readiness }]);
        }
        let mut engine = world.engine();
        let fd = world.open();
        let token = engine.watch(fd, Interest::READ).expect("watch");
        world.hang_up(fd);
        assert_eq!(reported(&mut engine), [IoEvent { token, readiness: READABLE }]);
    });
}

#[test]
fn a_registration_that_watches_nothing_is_silent_on_a_hang_up() {
    on_each(|world| {
        let mut engine = world.engine();
        let fd = world.open();
        let token = engine.watch(fd, Interest::READ).expect("watch");
        engine.rewatch(token, Interest::NONE).expect("rewatch");
        world.hang_up(fd);
        assert_eq!(reported(&mut engine), []);
        engine.rewatch(token, Interest::READ).expect("rewatch");
        assert_eq!(reported(&mut engine), [IoEvent { token, readiness: READABLE }]);
    });
}

#[test]
fn an_armed_registration_reports_once_each_time() {
    on_each(|world| {
        let mut engine = world.engine();
        let fd = world.open();
        let token = engine.watch(fd, Interest::NONE).expect("watch");
        world.make_readable(fd);
        assert_eq!(reported(&mut engine), []);
        for _ in 0..3 {
            engine.arm(token, Interest::READ).expect("arm");
            assert_eq!(engine.interest(token), Some(Interest::READ));
            assert_eq!(reported(&mut engine), [IoEvent { token, readiness: READABLE }]);
            assert_eq!(engine.interest(token), Some(Interest::NONE));
            assert_eq!(reported(&mut engine), []);
        }
        engine.arm(token, Interest::WRITE).expect("arm");
        engine.arm(token, Interest::BOTH).expect("arm");
        assert_eq!(reported(&mut engine), [IoEvent { token, readiness: BOTH }]);
        world.hang_up(fd);
        assert_eq!(reported(&mut engine), []);
        engine.rewatch(token, Interest::READ).expect("rewatch");
        assert_eq!(reported(&mut engine).len(), 1);
        assert_eq!(reported(&mut engine).len(), 1, "a level again");
        engine.arm(token, Interest::READ).expect("arm");
        assert!(engine.unwatch(token));
        assert_eq!(reported(&mut engine), []);
        assert!(engine.arm(token, Interest::READ).is_err());
    });
}

#[test]
fn a_spent_registration_can_be_armed_for_the_next_file_of_its_number() {
    on_each(|world| {
        let mut engine = world.engine();
        let fd = world.open();
        let token = engine.watch(fd, Interest::NONE).expect("watch");
        engine.arm(token, Interest::READ).expect("arm");
        world.make_readable(fd);
        assert_eq!(reported(&mut engine).len(), 1);
        // Closed behind the engine's back, then used again.
        world.close(fd);
        assert_eq!(world.open(), fd, "the lowest free number of this world");
        engine.arm(token, Interest::READ).expect("arm");
        assert_eq!(reported(&mut engine), []);
        world.make_readable(fd);
        assert_eq!(reported(&mut engine), [IoEvent { token, readiness: READABLE }]);
        let level = engine.watch(fd, Interest::READ).expect("watch");
        assert_eq!(reported(&mut engine), [IoEvent { token: level, readiness: READABLE }]);
    });
}

#[test]
fn a_reused_number_never_receives_its_predecessors_event() {
    on_each(|world| {
        let mut engine = world.engine();
        let fd = world.open();
        world.make_readable(fd);
        let old = engine.watch(fd, Interest::READ).expect("watch");
        // Closed behind the engine's back, then used again.
        world.close(fd);
        let reused = world.open();
        assert_eq!(reused, fd, "the lowest free number of this world");
        let new = engine.watch(reused, Interest::READ).expect("watch");
        assert_ne!(old, new);
        assert_eq!(reported(&mut engine), []);
        assert!(!engine.unwatch(old), "the old owner's late clean-up changes nothing");
        world.make_readable(reused);
        assert_eq!(reported(&mut engine), [IoEvent { token: new, readiness: READABLE }]);
    });
}

#[test]
fn a_number_that_is_closed_or_negative_is_refused() {
    on_each(|world| {
        let mut engine = world.engine();
        let fd = world.open();
        world.close(fd);
        let error = engine.watch(fd, Interest::READ).expect_err("closed");
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        assert!(matches!(
            engine.watch(-1, Interest::READ),
            Err(ourio_engine::Error::Misuse(Misuse::NegativeDescriptor(-1)))
        ));
    });
}

#[test]
fn a_wake_up_ends_a_wait_also_when_it_comes_first() {
    on_each(|world| {
        let mut engine = world.engine();
        let remote = engine.remote();
        remote.wake();
        let events = engine.prepare(engine.now(), Patience::Block).block().expect("a wait");
        engine.absorb(events, engine.now());
        let waker = std::thread::spawn(move || remote.send(Event::Signal(1)));
        while engine.ready_len() == 0 {
            let events = engine.prepare(engine.now(), Patience::Block).block().expect("a wait");
            engine.absorb(events, engine.now());
        }
        assert_eq!(engine.next(), Some(Event::Signal(1)));
        waker.join().expect("no panic").expect("open");
    });
}

#[test]
fn a_timed_wait_is_never_short() {
    on_each(|world| {
        let mut engine = world.engine();
        let start = engine.now();
        let deadline = start.saturating_add(Duration::from_micros(1500));
        engine.schedule_at(deadline, Event::Signal(9));
        while engine.ready_len() == 0 {
            let events = engine.prepare(engine.now(), Patience::Block).block().expect("a wait");
            engine.absorb(events, engine.now());
        }
        assert!(engine.now() >= deadline);
    });
}

#[test]
fn who_stays_awake_before_a_sleep_misses_nothing() {
    on_each(|world| {
        let mut engine = world.engine();
        let fd = world.open();
        let token = engine.watch(fd, Interest::READ).expect("watch");
        // Awake for less than the time until the timer, then for more.
        for awake in [Duration::from_micros(100), Duration::from_millis(20)] {
            let deadline = engine.now().saturating_add(Duration::from_micros(800));
            engine.schedule_at(deadline, Event::Signal(9));
            while engine.ready_len() == 0 {
                let began = Instant::now();
                let wait = engine.prepare(engine.now(), Patience::Block);
                let events = wait.block_after(|| began.elapsed() < awake).expect("a wait");
                engine.absorb(events, engine.now());
            }
            assert!(engine.now() >= deadline);
            assert_eq!(engine.next(), Some(Event::Signal(9)));
        }
        world.make_readable(fd);
        let events = engine.prepare(engine.now(), Patience::Block).block_after(|| true).expect("a wait");
        engine.absorb(events, engine.now());
        assert_eq!(engine.next(), Some(Event::Io(IoEvent { token, readiness: READABLE })));
        assert!(engine.unwatch(token));
        let remote = engine.remote();
        assert!(!remote.is_asleep());
        let wait = engine.prepare(engine.now(), Patience::Block);
        assert!(!wait.may_sleep() || remote.is_asleep());
        let waker = std::thread::spawn(move || remote.wake());
        let began = Instant::now();
        let events = wait.block_after(|| began.elapsed() < Duration::from_micros(100)).expect("it ends");
        engine.absorb(events, engine.now());
        waker.join().expect("no panic");
    });
}

#[test]
fn registrations_and_wake_ups_outlive_a_renewal() {
    on_each(|world| {
        let mut engine = world.engine();
        let (first, second) = (world.open(), world.open());
        let token = engine.watch(first, Interest::READ).expect("watch");
        let quiet = engine.watch(second, Interest::READ).expect("watch");
        world.close(second);
        let remote = engine.remote();
        engine.renew_after_fork().expect("descriptors enough");
        world.make_readable(first);
        assert_eq!(reported(&mut engine), [IoEvent { token, readiness: READABLE }]);
        assert!(engine.unwatch(token));
        assert!(engine.unwatch(quiet), "closed on the way, and quiet");
        assert_eq!(reported(&mut engine), []);
        remote.wake();
        let events = engine.prepare(engine.now(), Patience::Block).block().expect("a wait that ends");
        engine.absorb(events, engine.now());
    });
}
