//! Virtual time and seeded schedules: a program's time passes only when it waits, and its order is drawn from a seed.
//!
//! asyncio promises the order of what is ready, and programs come to depend on orders that nobody promised. Here every
//! batch of ready tasks is permuted by a seed. [`check`] tries many, and says which one to replay:
//!
//! ```should_panic
//! use std::{cell::Cell, rc::Rc};
//!
//! // Two tasks read, wait, and write: one of the two changes is lost.
//! ourio::testing::check(|| async {
//!     let balance = Rc::new(Cell::new(0));
//!     let deposit = |amount| {
//!         let balance = Rc::clone(&balance);
//!         ourio::spawn(async move {
//!             let before = balance.get();
//!             ourio::yield_now().await;
//!             balance.set(before + amount);
//!         })
//!     };
//!     ourio::gather((deposit(1), deposit(2))).await.expect("no panic");
//!     assert_eq!(balance.get(), 3);
//! });
//! ```
//!
//! A program that sleeps for hours runs in milliseconds: the clock stands while anything is ready, and jumps to the
//! next deadline when nothing is. Blocking calls ([`to_thread`](crate::to_thread)) are made at once, in the loop's
//! thread. Sockets and processes are the kernel's, which knows no virtual time: a program that waits for both a socket
//! and a time sees the time come first.

use std::env;
use std::fmt;
use std::future::Future as StdFuture;
use std::ops::Range;
use std::time::Duration;

pub use ourio_engine::Trace;
use ourio_engine::{Schedule, SimulatedClock};

use crate::error::{Error, Result};
use crate::event_loop::EventLoop;

/// The variable that has [`check`] replay one seed.
pub const SEED_VARIABLE: &str = "OURIO_SEED";

/// How many seeds [`check`] tries.
pub const SEEDS: u64 = 100;

/// A run in virtual time.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing runs until it is run"]
pub struct Simulation {
    schedule: Schedule,
}

/// What a simulation has shown.
#[derive(Debug)]
pub struct Simulated<T> {
    /// What the program returned, or why it did not.
    pub outcome: Result<T>,
    /// How much virtual time has passed.
    pub elapsed: Duration,
    /// The choices that the schedule has made; `None` in asyncio's own order, which makes none. Its text is short, and
    /// can be [replayed](Simulation::replay).
    pub trace: Option<Trace>,
}

impl Simulation {
    /// In asyncio's order: first in, first out.
    pub fn new() -> Self {
        Self::default()
    }

    /// In an order that is drawn from a seed. The same seed gives the same order, in every release.
    pub fn seeded(seed: u64) -> Self {
        Self { schedule: Schedule::Seeded(seed) }
    }

    /// In the order of an earlier run.
    pub fn replay(trace: Trace) -> Self {
        Self { schedule: Schedule::Replay(trace) }
    }

    /// Runs a program.
    #[track_caller]
    pub fn run<T>(self, program: impl StdFuture<Output = T>) -> Simulated<T> {
        let clock = SimulatedClock::default();
        let mut builder = EventLoop::builder();
        builder.clock = Some(clock.clone());
        builder.schedule = self.schedule;
        let (outcome, trace) = match builder.build() {
            Ok(event_loop) => {
                let outcome = event_loop.run_until_complete(program);
                (outcome, event_loop.trace())
            }
            Err(error) => (Err(error), None),
        };
        Simulated { outcome, elapsed: Duration::from_nanos(clock.now().as_nanos()), trace }
    }
}

/// A seed under which a program fails.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The choices of the run.
    pub trace: Option<Trace>,
    /// How it failed: a panic, a deadlock.
    pub error: Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "under seed {}: {} (replay it with {SEED_VARIABLE}={})", self.seed, self.error, self.seed)
    }
}

impl std::error::Error for Failure {}

/// Runs a program under each of several seeds until one fails: a panic of the main future, or a deadlock. A panic of
/// another task fails whoever awaits it.
///
/// # Errors
///
/// The first [`Failure`].
#[track_caller]
pub fn explore<T, F: StdFuture<Output = T>>(
    seeds: Range<u64>,
    mut program: impl FnMut() -> F,
) -> std::result::Result<(), Failure> {
    for seed in seeds {
        run_seed(seed, &mut program)?;
    }
    Ok(())
}

#[track_caller]
fn run_seed<T, F: StdFuture<Output = T>>(
    seed: u64,
    program: &mut impl FnMut() -> F,
) -> std::result::Result<(), Failure> {
    // Made inside of the run, so that the program may spawn before its first await.
    let simulated = Simulation::seeded(seed).run(async { program().await });
    match simulated.outcome {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure { seed, trace: simulated.trace, error }),
    }
}

/// Runs a program under [`SEEDS`] seeds, or under the one that the variable `OURIO_SEED` names: for tests.
///
/// # Panics
///
/// At the first failure, with the seed that replays it; and if `OURIO_SEED` is not a number.
#[track_caller]
pub fn check<T, F: StdFuture<Output = T>>(mut program: impl FnMut() -> F) {
    let seeds = match env::var(SEED_VARIABLE) {
        Err(_) => 0..SEEDS,
        Ok(text) => match text.parse::<u64>() {
            Ok(seed) => seed..seed.saturating_add(1),
            Err(error) => panic!("{SEED_VARIABLE}={text:?} is not a seed: {error}"),
        },
    };
    if let Err(failure) = explore(seeds, &mut program) {
        panic!("{failure}");
    }
}

/// Runs a program in virtual time and asyncio's order.
///
/// ```
/// use std::time::Duration;
///
/// let year = Duration::from_secs(365 * 24 * 60 * 60);
/// ourio::testing::run(ourio::sleep(year))?;
/// # Ok::<(), ourio::Error>(())
/// ```
///
/// # Errors
///
/// As [`EventLoop::run_until_complete`].
#[track_caller]
pub fn run<T>(program: impl StdFuture<Output = T>) -> Result<T> {
    Simulation::new().run(program).outcome
}
