//! Tasks, futures and loops, as asyncio's documentation describes them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use ourio::{ContextVar, Error, EventLoop, Future, TaskError, TaskState, gather, gather_all};

/// What happens, in the order in which it happens.
#[derive(Debug, Clone, Default)]
struct Events(Rc<RefCell<Vec<String>>>);

impl Events {
    fn add(&self, event: impl Into<String>) {
        self.0.borrow_mut().push(event.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

/// Says when it is dropped.
struct Dropped(Events, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

#[test]
fn two_sleeps_overlap_and_end_in_order_of_their_length() {
    let events = Events::default();
    let started = Instant::now();
    ourio::run(async {
        let [slow, fast] = [("slow", 30), ("fast", 10)].map(|(name, millis)| {
            let events = events.clone();
            ourio::spawn(async move {
                ourio::sleep(Duration::from_millis(millis)).await;
                events.add(name);
            })
        });
        gather((slow, fast)).await.expect("both end");
    })
    .expect("a loop");
    assert_eq!(events.all(), ["fast", "slow"]);
    assert!(started.elapsed() >= Duration::from_millis(30));
}

#[test]
fn workers_that_yield_interleave_strictly() {
    let events = Events::default();
    ourio::run(async {
        let workers = ["a", "b", "c"].map(|name| {
            let events = events.clone();
            ourio::spawn(async move {
                for round in 0..3 {
                    events.add(format!("{name}{round}"));
                    ourio::yield_now().await;
                }
            })
        });
        gather(Vec::from(workers)).await.expect("all end");
    })
    .expect("a loop");
    assert_eq!(events.all(), ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]);
}

#[test]
fn a_task_has_a_name_a_state_and_a_place() {
    ourio::run(async {
        let task = ourio::spawn_named("worker", async {
            let own = ourio::current_task().expect("inside of a task");
            ourio::sleep(Duration::from_millis(1)).await;
            (own.name, own.state)
        });
        assert_eq!((task.name().as_str(), task.state(), task.done()), ("worker", TaskState::Created, false));
        assert!(task.info().spawned_at.file().ends_with("tasks.rs"));
        let main = ourio::current_task().expect("the main future is a task too");
        assert_eq!(main.state, TaskState::Running);
        ourio::yield_now().await;
        assert_eq!(task.state(), TaskState::Suspended);
        task.set_name("renamed");
        let names: Vec<_> = ourio::all_tasks().into_iter().map(|info| info.name).collect();
        assert_eq!(names, [main.name.as_str(), "renamed"]);
        assert_eq!(task.await, Ok(("worker".to_owned(), TaskState::Running)));
        assert_eq!(ourio::all_tasks().len(), 1);
        let unnamed = ourio::spawn(async {});
        assert!(unnamed.name().starts_with("Task-"));
    })
    .expect("a loop");
}

#[test]
fn a_cancelled_task_is_dropped_where_it_waits_and_its_joiner_is_told_why() {
    let events = Events::default();
    ourio::run(async {
        let inside = events.clone();
        let task = ourio::spawn(async move {
            let _guard = Dropped(inside.clone(), "dropped");
            inside.add("started");
            ourio::sleep(Duration::from_secs(3600)).await;
            inside.add("never");
        });
        ourio::yield_now().await;
        let told = events.clone();
        task.add_done_callback(move |state| told.add(format!("{state:?}")));
        assert!(task.cancel_with("too slow"));
        assert!(!task.done(), "in the next turn");
        match task.await {
            Err(TaskError::Cancelled(cancelled)) => assert_eq!(cancelled.message(), Some("too slow")),
            other => panic!("{other:?}"),
        }
    })
    .expect("a loop");
    assert_eq!(events.all(), ["started", "dropped", "Cancelled"]);
}

#[test]
fn a_task_can_be_cancelled_before_it_starts_by_itself_and_not_after_its_end() {
    ourio::run(async {
        let started = Rc::new(Cell::new(false));
        let inside = Rc::clone(&started);
        let early = ourio::spawn(async move { inside.set(true) });
        early.cancel();
        assert!(early.await.expect_err("cancelled").is_cancelled());
        assert!(!started.get());

        let own: Rc<RefCell<Option<ourio::Task<()>>>> = Rc::default();
        let inside = Rc::clone(&own);
        let task = ourio::spawn(async move {
            inside.borrow().as_ref().expect("put there").cancel();
            std::future::pending::<()>().await;
        });
        own.replace(Some(task));
        ourio::yield_now().await;
        ourio::yield_now().await;
        let task = own.take().expect("put there");
        assert!(task.cancelled());
        assert!(!task.cancel(), "it is done");

        let returned = ourio::spawn(async { 1 });
        ourio::yield_now().await;
        assert!(!returned.cancel());
        assert_eq!(returned.await, Ok(1));
    })
    .expect("a loop");
}

#[test]
fn a_panic_stays_in_its_task() {
    ourio::run(async {
        let task = ourio::spawn(async { panic!("on purpose: {}", 1) });
        let other = ourio::spawn(async { 2 });
        match task.await {
            Err(TaskError::Panicked(panicked)) => assert_eq!(panicked.message(), "on purpose: 1"),
            other => panic!("{other:?}"),
        }
        assert_eq!(other.await, Ok(2));
    })
    .expect("a loop");
    let error = ourio::run(async { panic!("in main") }).expect_err("a panic");
    assert!(matches!(error, Error::Panicked(panicked) if panicked.message() == "in main"));
}

#[test]
fn gather_keeps_the_order_and_ends_at_the_first_error() {
    ourio::run(async {
        let tasks: Vec<_> = (0..10u64)
            .map(|number| {
                ourio::spawn(async move {
                    ourio::sleep(Duration::from_micros(1000 - number * 90)).await;
                    number
                })
            })
            .collect();
        assert_eq!(gather(tasks).await, Ok((0..10).collect()));

        let ended = Rc::new(Cell::new(false));
        let inside = Rc::clone(&ended);
        let slow = ourio::spawn(async move {
            ourio::sleep(Duration::from_millis(5)).await;
            inside.set(true);
        });
        let cancelled = ourio::spawn(std::future::pending::<()>());
        cancelled.cancel();
        assert!(gather((slow, cancelled)).await.is_err());
        assert!(!ended.get());
        ourio::sleep(Duration::from_millis(10)).await;
        assert!(ended.get(), "the others go on");

        let outcomes =
            gather_all(vec![ourio::spawn(async { 1 }), ourio::spawn(async { panic!("two") })]).await;
        assert_eq!(outcomes[0], Ok(1));
        assert!(matches!(outcomes[1], Err(TaskError::Panicked(_))));
        assert_eq!(gather(Vec::<ourio::Task<()>>::new()).await, Ok(vec![]));
    })
    .expect("a loop");
}

#[test]
fn a_timeout_drops_what_it_awaited() {
    let events = Events::default();
    ourio::run(async {
        let guard = Dropped(events.clone(), "dropped");
        let slow = async move {
            let _guard = guard;
            ourio::sleep(Duration::from_secs(3600)).await;
        };
        assert!(ourio::timeout(Duration::from_millis(1), slow).await.is_err());
        events.add("after");
        assert_eq!(ourio::timeout(Duration::from_secs(3600), async { 7 }).await, Ok(7));
        assert_eq!(ourio::timeout(Duration::ZERO, async { 8 }).await, Ok(8), "the future is asked first");
    })
    .expect("a loop");
    assert_eq!(events.all(), ["dropped", "after"]);
}

#[test]
fn a_future_is_set_once_and_wakes_all_in_order() {
    let events = Events::default();
    ourio::run(async {
        let future = Future::new();
        let waiters: Vec<_> = (0..3)
            .map(|number| {
                let (future, events) = (future.clone(), events.clone());
                ourio::spawn(async move {
                    let got = future.await;
                    events.add(format!("{number}: {got:?}"));
                })
            })
            .collect();
        ourio::yield_now().await;
        assert!(future.set_result("x"));
        assert!(!future.cancel());
        gather(waiters).await.expect("all end");
        assert_eq!(future.result(), Some(Ok("x")));

        let cancelled: Future<()> = Future::new();
        let waiting = ourio::spawn(cancelled.clone());
        ourio::yield_now().await;
        cancelled.cancel_with("no more");
        let told = waiting.await.expect("the task itself ends").expect_err("cancelled");
        assert_eq!(told.message(), Some("no more"));
    })
    .expect("a loop");
    assert_eq!(events.all(), ["0: Ok(\"x\")", "1: Ok(\"x\")", "2: Ok(\"x\")"]);
}

#[test]
fn other_threads_wake_tasks_and_schedule_callbacks() {
    ourio::run(async {
        let (sender, receiver) = std::sync::mpsc::channel::<std::task::Waker>();
        let ready = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let set = std::sync::Arc::clone(&ready);
        let other = thread::spawn(move || {
            let waker = receiver.recv().expect("a waker");
            thread::sleep(Duration::from_millis(5));
            set.store(true, std::sync::atomic::Ordering::SeqCst);
            waker.wake();
        });
        std::future::poll_fn(|context| {
            if ready.load(std::sync::atomic::Ordering::SeqCst) {
                return std::task::Poll::Ready(());
            }
            // A send that finds nobody means that the waker has been used already.
            drop(sender.send(context.waker().clone()));
            std::task::Poll::Pending
        })
        .await;
        other.join().expect("no panic");
    })
    .expect("a loop");

    let event_loop = EventLoop::new().expect("a loop");
    let handle = event_loop.handle();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&done);
    let other = thread::spawn(move || {
        for _ in 0..1000 {
            let count = std::sync::Arc::clone(&count);
            handle
                .call_soon_threadsafe(move || {
                    count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                })
                .expect("open");
        }
        handle
    });
    let watched = std::sync::Arc::clone(&done);
    event_loop
        .run_until_complete(async move {
            while watched.load(std::sync::atomic::Ordering::SeqCst) < 1000 {
                ourio::sleep(Duration::from_micros(100)).await;
            }
        })
        .expect("an end");
    let handle = other.join().expect("no panic");
    event_loop.close().expect("not running");
    assert!(matches!(handle.call_soon_threadsafe(|| {}), Err(Error::Closed)));
}

#[test]
fn callbacks_run_in_order_and_can_be_taken_back() {
    let events = Events::default();
    let event_loop = EventLoop::new().expect("a loop");
    let add = |event: &'static str| {
        let events = events.clone();
        move || events.add(event)
    };
    event_loop.call_later(Duration::from_millis(2), add("later"));
    event_loop.call_soon(add("first"));
    let taken_back = event_loop.call_soon(add("never"));
    event_loop.call_soon(add("second"));
    let late = event_loop.call_later(Duration::from_millis(1), add("never"));
    assert!(taken_back.cancel() && !taken_back.cancel());
    assert!(late.cancel());
    event_loop.call_soon(|| panic!("a callback's own"));
    event_loop.run_until_complete(ourio::sleep(Duration::from_millis(5))).expect("an end");
    assert_eq!(events.all(), ["first", "second", "later"]);
    let before = event_loop.time();
    assert!(event_loop.time() >= before);
}

#[test]
fn a_loop_has_one_life_and_one_thread_at_a_time() {
    let event_loop = EventLoop::new().expect("a loop");
    let task = event_loop.spawn(async { 5 });
    let nested = event_loop.run_until_complete(async {
        assert!(matches!(ourio::run(async {}), Err(Error::Running)));
        task.await
    });
    assert_eq!(nested.expect("an end"), Ok(5));
    event_loop.stop();
    assert!(matches!(event_loop.run_until_complete(std::future::pending::<()>()), Err(Error::Stopped)));
    event_loop.run_until_complete(async {}).expect("it can be run again");

    let events = Events::default();
    let guard = Dropped(events.clone(), "dropped");
    let left = event_loop.spawn(async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    event_loop.close().expect("not running");
    assert!(left.cancelled());
    assert_eq!(events.all(), ["dropped"]);
    assert!(matches!(event_loop.run_forever(), Err(Error::Closed)));
    assert!(event_loop.spawn(async {}).cancelled());

    let threads: Vec<_> = (0..4u64)
        .map(|number| {
            thread::spawn(move || ourio::run(async move { ourio::spawn(async move { number }).await }))
        })
        .collect();
    for (number, other) in (0..).zip(threads) {
        assert_eq!(other.join().expect("no panic").expect("a loop"), Ok(number));
    }
}

#[test]
fn context_variables_are_inherited_and_then_apart() {
    let variable = ContextVar::new("variable");
    assert_eq!((variable.name(), variable.get()), ("variable", None));
    ourio::run(async move {
        variable.set(1);
        let child = ourio::spawn(async move {
            let inherited = variable.get();
            let token = variable.replace(2);
            ourio::yield_now().await;
            let own = variable.get();
            variable.reset(token);
            (inherited, own, variable.get())
        });
        ourio::yield_now().await;
        assert_eq!(variable.get(), Some(1));
        variable.set(3);
        assert_eq!(child.await, Ok((Some(1), Some(2), Some(1))));
        assert_eq!(variable.get(), Some(3));
    })
    .expect("a loop");
    assert_eq!(variable.get(), None, "what the main future sets ends with it");
}

#[test]
fn a_sleep_that_moves_to_another_loop_is_not_early() {
    let mut sleep = Box::pin(ourio::sleep(Duration::from_millis(30)));
    let began = Instant::now();
    ourio::run(async { assert!(ourio::timeout(Duration::from_millis(1), sleep.as_mut()).await.is_err()) })
        .expect("a loop");
    ourio::run(sleep).expect("another loop");
    assert!(began.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_hundred_thousand_tasks_sleep_at_once() {
    ourio::run(async {
        let tasks: Vec<_> = (0..100_000u32)
            .map(|number| {
                ourio::spawn(async move {
                    ourio::sleep(Duration::from_millis(20)).await;
                    u64::from(number)
                })
            })
            .collect();
        let total: u64 = gather(tasks).await.expect("all end").into_iter().sum();
        assert_eq!(total, (0..100_000).sum());
    })
    .expect("a loop");
}
