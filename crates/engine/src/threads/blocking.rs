//! The blocking pool: threads for calls that cannot be made on the loop, completing through the inbox.
//!
//! A job runs on some thread, and its completion arrives at the engine as an ordinary entry. Threads are
//! started when a job finds no idle one, up to a limit, and end after a while without work. A job that
//! panics does not take its thread down: the panic is the job's result.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::spin::{AdaptiveSpin, spin_until};
use crate::error::{Error, Result};
use crate::inbox::Remote;

/// How large a pool may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Threads at most; at least one is used.
    pub threads: usize,
    /// Jobs that may wait for a thread; one more is refused.
    pub queue: usize,
    /// How long a thread without work stays.
    pub idle: Duration,
}

impl Default for PoolLimits {
    /// asyncio: `ThreadPoolExecutor` has `min(32, cpus + 4)` threads. The queue's bound is far above any
    /// sane backlog; it turns a runaway producer into an error instead of an exhausted machine.
    fn default() -> Self {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        Self { threads: (cpus + 4).min(32), queue: 1 << 20, idle: Duration::from_secs(10) }
    }
}

/// Threads that make blocking calls for one or more engines.
///
/// Dropping the pool lets the queued jobs finish and waits for the threads, as does
/// [`BlockingPool::shutdown`].
pub struct BlockingPool {
    shared: Arc<Shared>,
}

type Job = Box<dyn FnOnce() + Send>;

struct Shared {
    limits: PoolLimits,
    state: Mutex<State>,
    work: Condvar,
    /// Told when a thread has ended.
    ended: Condvar,
    /// For the one thread that stays awake: whether it must look at the state.
    is_called: AtomicBool,
    spin: AdaptiveSpin,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Whether one of the idle threads is awake, and is called in another way.
    is_one_awake: bool,
    started: u64,
    closed: bool,
}

impl BlockingPool {
    /// A pool without threads as yet.
    pub fn new(limits: PoolLimits) -> Self {
        let shared = Shared {
            limits,
            state: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
            is_called: AtomicBool::new(false),
            spin: AdaptiveSpin::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs `job` on some thread and sends what `complete` makes of its outcome to the engine.
    ///
    /// A job whose engine has closed meanwhile is still run; its completion is dropped.
    ///
    /// # Errors
    ///
    /// * [`Error::Closed`] after [`BlockingPool::shutdown`].
    /// * [`Error::System`] with `EAGAIN` if the queue is full, or if not even one thread can be started.
    pub fn spawn<T, C: Send + 'static>(
        &self,
        remote: &Remote<C>,
        job: impl FnOnce() -> T + Send + 'static,
        complete: impl FnOnce(std::result::Result<T, Box<dyn Any + Send>>) -> C + Send + 'static,
    ) -> Result<()> {
        let remote = remote.clone();
        self.enqueue(Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(job));
            // The engine is gone: nobody is left to tell.
            drop(remote.send(complete(outcome)));
        }))
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.shared.lock().threads
    }

    /// Refuses new jobs, lets the queued ones finish, and waits until every thread has ended.
    pub fn shutdown(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.is_called.store(true, Ordering::Release);
        self.shared.work.notify_all();
        while state.threads > 0 {
            state = self.shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn enqueue(&self, job: Job) -> Result<()> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        if state.jobs.len() >= self.shared.limits.queue {
            return Err(Error::system("blocking pool queue")(rustix::io::Errno::AGAIN));
        }
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle {
            if state.is_one_awake && state.jobs.len() == 1 {
                self.shared.is_called.store(true, Ordering::Release);
            } else {
                self.shared.work.notify_one();
            }
            return Ok(());
        }
        if state.threads < self.shared.limits.threads.max(1)
            && let Err(source) = self.start_thread(&mut state)
            && state.threads == 0
        {
            state.jobs.pop_back();
            return Err(Error::System { operation: "blocking pool thread", source });
        }
        Ok(())
    }

    fn start_thread(&self, state: &mut State) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let name = format!("ourio-blocking-{}", state.started);
        thread::Builder::new().name(name).spawn(move || shared.work())?;
        state.threads += 1;
        state.started += 1;
        Ok(())
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingPool").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            if !state.is_one_awake && self.spin.tries() {
                state = self.stay_awake(state);
                if !state.jobs.is_empty() || state.closed {
                    state.idle -= 1;
                    continue;
                }
            }
            let (guard, waited) =
                self.work.wait_timeout(state, self.limits.idle).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        self.ended.notify_all();
    }

    /// Waits for a job for a moment without sleeping.
    fn stay_awake<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.is_one_awake = true;
        self.is_called.store(false, Ordering::Relaxed);
        drop(state);
        self.spin.was(spin_until(|| self.is_called.load(Ordering::Acquire)));
        state = self.lock();
        state.is_one_awake = false;
        state
    }
}
