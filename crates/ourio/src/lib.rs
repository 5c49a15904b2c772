//! asyncio's model as a Rust runtime.
//!
//! Who knows asyncio finds its nouns; who knows Rust finds ordinary [`Future`](std::future::Future)s. A loop belongs to
//! one thread and runs tasks that need not be `Send`; several loops run in several threads.
//!
//! ```
//! use std::time::Duration;
//!
//! let (slow, fast) = ourio::run(async {
//!     let slow = ourio::spawn(async {
//!         ourio::sleep(Duration::from_millis(2)).await;
//!         "slow"
//!     });
//!     let fast = ourio::spawn(async { "fast" });
//!     ourio::gather((slow, fast)).await
//! })??;
//! assert_eq!((slow, fast), ("slow", "fast"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A tour
//!
//! **Coroutines.** An `async fn` that is called gives an object, and nothing of it runs. [`run`] makes a loop and runs
//! one to its end; [`spawn`] makes a task of one, which runs beside the others. A [`Coroutine`] is one that is driven by
//! hand, value by value, as Python's generators are.
//!
//! **Tasks.** A [`Task`] has a name, a state, and a result for whoever awaits it: a `Result`, as a task may be cancelled
//! or panic, which ends nothing but the task. Dropping its handle lets it go on. [`Task::cancel`] drops its future where
//! it waits: destructors run, nothing after the await does. [`shield`] keeps something from its joiner's cancellation,
//! [`Task::shared`] lets many await the same.
//!
//! **Several at once.** [`gather`] for all of them in order, [`wait`] and [`as_completed`] for some of them,
//! [`task_group`] for tasks that end together, [`timeout`] for no longer than so long, [`race`] for whichever is first.
//!
//! **Between tasks.** [`sync`] has locks, events, conditions, semaphores, barriers and queues: fair, and safe to cancel.
//! [`ContextVar`] has a value per task. [`Future`] is a result that is set by hand.
//!
//! **The world.** [`net`] has sockets, [`streams`] readers and writers over them, [`process`] and [`signal`] what their
//! names say, [`to_thread`] makes blocking calls. The types implement `futures-io`'s and `futures-core`'s traits, and
//! with the feature `hyper` hyper's, so that its servers and clients run here.
//!
//! **What goes on.** [`all_tasks`] and [`task_tree`] show who waits for whom. Steps that take too long are reported
//! ([`LoopBuilder::debug`]). A program whose every task waits for what can never happen does not hang: [`run`] gives
//! [`Error::Deadlock`], which names each task and what it waits for. [`testing`] runs a program in virtual time under
//! many orders, and replays the one that fails.
//!
//! The folder `examples` has a program for each of these, and an HTTP server, a chat server and a crawler.
//!
//! # asyncio to ourio
//!
//! | asyncio | here | what differs |
//! |---|---|---|
//! | `asyncio.run(main())` | [`run`] | what is left is dropped, not resumed with an exception; control-C ends the process unless somebody listens |
//! | `asyncio.Runner` | [`Runner`] | signals that end a run gracefully are named: [`Runner::shutdown_on`] |
//! | `loop = asyncio.new_event_loop()` | [`EventLoop::new`], [`EventLoop::builder`] | |
//! | a generator-based coroutine: `send`, `throw`, `close` | [`Coroutine`] | the body gets its [`Yielder`] as an argument; the types of what is yielded and sent are its own |
//! | `inspect.getcoroutinestate` | [`Coroutine::state`] | |
//! | `create_task(coro, name=...)` | [`spawn`], [`spawn_named`] | |
//! | `Task` | [`Task`] | awaiting one gives a `Result`: a cancelled or panicked task is an error of its joiner |
//! | `task.cancel(msg)` | [`Task::cancel`], [`Task::cancel_with`] | the future is dropped at its await point; it cannot refuse, so that there is no `uncancel` |
//! | `task.add_done_callback` | [`Task::add_done_callback`] | called at once, not in the next turn |
//! | awaiting a task twice | [`Task::shared`] | |
//! | `Future` | [`Future`] | |
//! | `sleep(s)`, `sleep(0)` | [`sleep`], [`yield_now`] | |
//! | `timeout(s)`, `t.reschedule` | [`timeout`], [`timeout_scope`] | the time that is left, not the clock's |
//! | `wait_for(aw, s)` | [`wait_for`] | |
//! | `gather(...)` | [`gather`] | tasks of a tuple or a `Vec`; the first error cancels nobody, as in asyncio |
//! | `gather(..., return_exceptions=True)` | [`gather_all`] | |
//! | `wait(tasks, timeout=, return_when=)` | [`wait`] | nothing to wait for is no error |
//! | `as_completed` | [`as_completed`] | a [`Stream`](futures_core::Stream) |
//! | `shield` | [`shield`] | |
//! | `TaskGroup`, `ExceptionGroup` | [`task_group`], [`GroupError`] | a task fails by returning an error, or by a panic; a group that is dropped does not wait for its tasks |
//! | `to_thread`, `run_in_executor` | [`to_thread`] | context variables are not seen there |
//! | `run_coroutine_threadsafe` | [`LoopHandle::run_threadsafe`] | takes what makes the future |
//! | `current_task()`, `all_tasks()` | [`current_task`], [`all_tasks`] | descriptions, which can also cancel |
//! | `print_call_graph`, `python -m asyncio pstree` | [`task_tree`] | |
//! | `contextvars.ContextVar` | [`ContextVar`] | `get` gives `None` where Python raises `LookupError` |
//! | `Lock` | [`sync::Lock`] | guards a value, `()` if there is none |
//! | `Event`, `Condition`, `Barrier` | [`sync::Event`], [`sync::Condition`], [`sync::Barrier`] | a condition is handed its lock's guard |
//! | `Semaphore`, `BoundedSemaphore` | [`sync::Semaphore`], [`sync::BoundedSemaphore`] | `acquire` gives a permit that gives itself back |
//! | `Queue`, `PriorityQueue`, `LifoQueue` | [`sync::Queue`], [`sync::PriorityQueue`], [`sync::LifoQueue`] | |
//! | `open_connection`, `start_server` | [`open_connection`], [`start_server`] | |
//! | `StreamReader`, `StreamWriter` | [`streams::StreamReader`], [`streams::StreamWriter`] | |
//! | protocols and transports | [`net`], or [`EventLoop::add_reader`] | |
//! | `loop.getaddrinfo` | [`net::getaddrinfo`] | |
//! | `create_subprocess_exec` | [`process::Command`] | |
//! | `loop.add_signal_handler` | [`EventLoop::add_signal_handler`], [`signal::listen`] | |
//! | `loop.add_reader`, `add_writer` | [`EventLoop::add_reader`], [`EventLoop::add_writer`] | |
//! | `loop.call_soon`, `call_later`, `call_at` | the same of [`EventLoop`]; [`call_soon`], [`call_later`] on the loop that runs | |
//! | `loop.call_soon_threadsafe` | [`LoopHandle::call_soon_threadsafe`] | |
//! | `loop.set_debug`, `slow_callback_duration` | [`LoopBuilder::debug`], [`LoopBuilder::slow_callback_duration`] | |
//! | TLS | a crate over `futures-io`: `examples/tls.rs` has rustls | |
//!
//! # Guarantees
//!
//! * What is ready runs first in, first out. What a turn schedules runs in the next one.
//! * A timer never fires early; those of the same nanosecond fire in the order of their creation.
//! * A task is polled by one thread: its loop's. Its waker may be used by any.
//! * A panic ends the task, callback or destructor that it happens in, and is told to whoever awaits it.
//! * There is no `unsafe` code in this crate.
//!
//! What is not guaranteed: fairness between tasks that never wait (a step that takes long keeps everybody waiting), and
//! the order of tasks that are woken by different things in one turn.
#![forbid(unsafe_code)]

#[cfg(feature = "hyper")]
pub mod hyper;
pub mod net;
pub mod process;
pub mod signal;
pub mod streams;
pub mod sync;
pub mod testing;

mod blocking;
mod context;
mod coroutine;
mod error;
mod event_loop;
mod future;
mod gather;
mod insight;
mod outcome;
mod reactor;
mod runner;
mod scheduling;
mod table;
mod task;
mod task_group;
mod time;
mod waiters;

pub use blocking::{ToThread, to_thread};
pub use context::{ContextVar, ResetToken};
pub use coroutine::{Coroutine, CoroutineState, Resumed, Thrown, Yielder};
pub use error::{Error, Result};
pub use event_loop::{EventLoop, LoopBuilder, LoopHandle, Outcome, running_loop};
pub use future::Future;
pub use gather::{
    AsCompleted, Either, Gather, GatherAll, ReturnWhen, as_completed, gather, gather_all, race, wait,
};
pub use insight::{Deadlock, OnDeadlock, SlowPoll, TaskInfo, all_tasks, current_task, task_tree};
pub use outcome::{Cancelled, Panicked, TaskError};
pub use runner::{Runner, run};
pub use scheduling::{Handle, call_later, call_soon};
pub use streams::{open_connection, open_unix_connection, start_server, start_unix_server};
pub use table::TaskState;
pub use task::{SharedTask, Task, shield, spawn, spawn_named};
pub use task_group::{Failure, GroupError, GroupTask, Grouping, TaskGroup, task_group};
pub use time::{
    Sleep, Timeout, TimeoutError, TimeoutHandle, YieldNow, sleep, time, timeout, timeout_scope, wait_for,
    yield_now,
};
