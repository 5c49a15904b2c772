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
//! # asyncio to ourio
//!
//! | asyncio | here | what differs |
//! |---|---|---|
//! | `asyncio.run(main())` | [`run`] | what is left is dropped, not resumed with an exception |
//! | a generator-based coroutine: `send`, `throw`, `close` | [`Coroutine`] | the body gets its [`Yielder`] as an argument |
//! | `create_task(coro, name=...)` | [`spawn`], [`spawn_named`] | |
//! | `Task` | [`Task`] | awaiting one gives a `Result`: a cancelled or panicked task is an error of its joiner |
//! | `task.cancel(msg)` | [`Task::cancel`] | the future is dropped at its await point; it cannot refuse |
//! | `Future` | [`Future`] | |
//! | `sleep(s)`, `sleep(0)` | [`sleep`], [`yield_now`] | |
//! | `timeout(s)`, `wait_for` | [`timeout`] | |
//! | `gather(...)` | [`gather`], [`gather_all`] | the first error drops nobody: tasks go on, as in asyncio |
//! | `contextvars.ContextVar` | [`ContextVar`] | |
//! | `current_task()`, `all_tasks()` | [`current_task`], [`all_tasks`] | |
//! | `loop.call_soon`, `call_later`, `time` | [`EventLoop`] | |
//! | `loop.call_soon_threadsafe` | [`LoopHandle::call_soon_threadsafe`] | |
//!
//! # Cancellation
//!
//! is Rust's: the future of a cancelled task is dropped in the loop's next turn, where it waits. Destructors run;
//! nothing after the await does.
//!
//! # What is not here yet
//!
//! Synchronisation, sockets and streams, processes, signals, task groups, virtual time.
#![forbid(unsafe_code)]

#[cfg(feature = "hyper")]
pub mod hyper;
pub mod net;
pub mod process;
pub mod signal;
pub mod streams;
pub mod sync;
pub mod testing;

mod announcement;
mod blocking;
mod context;
mod coroutine;
mod error;
mod event_loop;
mod future;
mod gather;
mod inner;
mod insight;
mod runner;
mod running;
mod table;
mod task;
mod task_group;
mod time;
mod wait;
mod wait_list;
mod waiter;

pub use blocking::{ToThread, to_thread};
pub use context::{ContextVar, ResetToken};
pub use coroutine::{Coroutine, CoroutineState, Resumed, Thrown, Yielder};
pub use error::{Cancelled, Error, Panicked, Result, TaskError, TimeoutError};
pub use event_loop::{
    EventLoop, Handle, LoopBuilder, LoopHandle, Outcome, call_later, call_soon, run, running_loop, time,
};
pub use future::Future;
pub use gather::{Gather, GatherAll, gather, gather_all};
pub use insight::{Deadlock, OnDeadlock, SlowPoll, TaskInfo, all_tasks, current_task, task_tree};
pub use runner::Runner;
pub use streams::{open_connection, open_unix_connection, start_server, start_unix_server};
pub use task::{SharedTask, Task, TaskState, shield, spawn, spawn_named};
pub use task_group::{Failure, GroupError, GroupTask, Grouping, TaskGroup, task_group};
pub use time::{Sleep, Timeout, TimeoutHandle, YieldNow, sleep, timeout, timeout_scope, wait_for, yield_now};
pub use wait::{AsCompleted, Either, ReturnWhen, as_completed, race, wait};
