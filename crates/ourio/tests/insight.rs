//! What is told of a program: who waits for whom, slow steps, deadlocks. And virtual time, which must be told of none.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ourio::sync::{Event, Lock, Queue};
use ourio::testing::{Simulation, check, explore};
use ourio::{
    Error, EventLoop, OnDeadlock, TaskState, gather, sleep, spawn, spawn_named, task_tree, yield_now,
};

async fn settle() {
    for _ in 0..5 {
        yield_now().await;
    }
}

fn deadlock_of(program: impl Future<Output = ()>) -> String {
    match ourio::run(program) {
        Err(Error::Deadlock(deadlock)) => deadlock.to_string(),
        other => panic!("no deadlock: {other:?}"),
    }
}

#[test]
fn two_tasks_that_take_two_locks_in_opposite_order_are_reported() {
    let report = deadlock_of(async {
        let locks = Rc::new((Lock::new(()), Lock::new(())));
        let other = Rc::clone(&locks);
        let one = spawn_named("one", async move {
            let _first = locks.0.acquire().await;
            yield_now().await;
            let _second = locks.1.acquire().await;
        });
        let two = spawn_named("two", async move {
            let _first = other.1.acquire().await;
            yield_now().await;
            let _second = other.0.acquire().await;
        });
        gather((one, two)).await.expect("never");
    });
    assert!(report.contains("3 task(s)"), "{report}");
    let line =
        |start: &str| report.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_default();
    assert!(line("one").contains("waits for a lock (two)"), "{report}");
    assert!(line("two").contains("waits for a lock (one)"), "{report}");
    assert!(line("one").contains("insight.rs"), "{report}");
}

#[test]
fn a_queue_that_nobody_feeds_and_a_future_that_nobody_sets_are_reported() {
    let report = deadlock_of(async {
        let queue: Queue<u8> = Queue::new(0);
        queue.get().await.expect("never");
    });
    assert!(report.contains("waits for an item in a queue"), "{report}");
    let report = deadlock_of(async {
        ourio::Future::<u8>::new().await.expect("never");
    });
    assert!(report.contains("waits for a future"), "{report}");
    let report = deadlock_of(async {
        let event = Event::new();
        let waiting = event.clone();
        spawn_named("waiting", async move { waiting.wait().await }).await.expect("never");
    });
    assert!(report.contains("waits for waiting") && report.contains("waits for an event"), "{report}");
}

#[test]
fn a_task_that_asks_for_its_own_lock_again_is_a_cycle() {
    let report = deadlock_of(async {
        let lock = Lock::new(());
        let _held = lock.acquire().await;
        let _again = lock.acquire().await;
    });
    assert!(report.contains("waits for a lock (Task-1)"), "{report}");
}

#[test]
fn what_another_thread_a_descriptor_or_a_time_may_wake_is_no_deadlock() {
    // A waker that is out in the world.
    let started = Instant::now();
    ourio::run(async {
        let (sender, receiver) = std::sync::mpsc::channel::<std::task::Waker>();
        let woken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let set = std::sync::Arc::clone(&woken);
        let thread = std::thread::spawn(move || {
            let waker = receiver.recv().expect("a waker");
            std::thread::sleep(Duration::from_millis(20));
            set.store(true, std::sync::atomic::Ordering::SeqCst);
            waker.wake();
        });
        std::future::poll_fn(|context| {
            if woken.load(std::sync::atomic::Ordering::SeqCst) {
                return std::task::Poll::Ready(());
            }
            drop(sender.send(context.waker().clone()));
            std::task::Poll::Pending
        })
        .await;
        thread.join().expect("no panic");
        // A thread of the pool, and a time.
        ourio::to_thread(|| std::thread::sleep(Duration::from_millis(5))).await.expect("no panic");
        sleep(Duration::from_millis(5)).await;
    })
    .expect("no deadlock");
    assert!(started.elapsed() >= Duration::from_millis(30));
    // A handle of the loop.
    let event_loop = EventLoop::new().expect("a loop");
    let handle = event_loop.handle();
    let event = Event::new();
    let kept = RefCell::new(Some(event.clone()));
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        handle.call_soon_threadsafe(|| ourio::current_task().map_or((), |_| ())).expect("open");
        handle.call_soon_threadsafe(|| assert!(ourio::all_tasks()[0].cancel())).expect("open");
    });
    let ended = event_loop.run_until_complete(event.wait());
    assert!(matches!(ended, Err(Error::Cancelled(_))), "{ended:?}");
    drop(kept);
    thread.join().expect("no panic");
}

#[test]
fn a_thread_that_sends_and_then_lets_go_of_its_handle_has_not_left_a_deadlock() {
    for _ in 0..500 {
        let event_loop = EventLoop::new().expect("a loop");
        let handle = event_loop.handle();
        let thread = std::thread::spawn(move || {
            handle.call_soon_threadsafe(|| assert!(ourio::all_tasks()[0].cancel())).expect("open");
        });
        let ended = event_loop.run_until_complete(std::future::pending::<()>());
        assert!(matches!(ended, Err(Error::Cancelled(_))), "{ended:?}");
        thread.join().expect("no panic");
    }
}

#[test]
fn the_report_can_be_refused() {
    let event_loop = EventLoop::builder().on_deadlock(OnDeadlock::Wait).build().expect("a loop");
    let handle = event_loop.handle();
    let remote = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        handle.call_soon_threadsafe(|| assert!(ourio::all_tasks()[0].cancel_with("enough"))).expect("open");
    });
    let ended = event_loop.run_until_complete(std::future::pending::<()>());
    assert!(matches!(ended, Err(Error::Cancelled(_))));
    remote.join().expect("no panic");
}

#[test]
fn the_tree_shows_who_waits_for_whom() {
    let tree = ourio::run(async {
        let lock = Rc::new(Lock::new(()));
        let (holding, waiting) = (Rc::clone(&lock), Rc::clone(&lock));
        let holder = spawn_named("holder", async move {
            let _held = holding.acquire().await;
            sleep(Duration::from_secs(3600)).await;
        });
        let waiter = spawn_named("waiter", async move { drop(waiting.acquire().await) });
        let boss = spawn_named("boss", waiter);
        settle().await;
        let tree = task_tree();
        boss.cancel();
        holder.cancel();
        tree
    })
    .expect("an end");
    let lines: Vec<_> = tree.lines().collect();
    let boss = lines.iter().position(|line| line.starts_with("boss")).expect("a root");
    assert!(lines[boss].contains("waits for waiter"), "{tree}");
    assert!(lines[boss + 1].starts_with("  waiter") && lines[boss + 1].contains("a lock (holder)"), "{tree}");
    assert!(
        lines[boss + 2].starts_with("    holder") && lines[boss + 2].contains("waits for a time"),
        "{tree}"
    );
}

#[test]
fn slow_steps_are_told_with_name_and_place() {
    let told = Rc::new(RefCell::new(Vec::new()));
    let event_loop =
        EventLoop::builder().slow_callback_duration(Duration::from_millis(20)).build().expect("a loop");
    let inside = Rc::clone(&told);
    event_loop.on_slow_poll(move |slow| inside.borrow_mut().push(slow.clone()));
    event_loop
        .run_until_complete(async {
            spawn_named("quick", async {}).await.expect("no panic");
            spawn_named("blocking", async { std::thread::sleep(Duration::from_millis(30)) })
                .await
                .expect("no panic");
        })
        .expect("an end");
    let told = told.borrow();
    assert!(told.iter().any(|slow| slow.task.name == "blocking" && slow.took >= Duration::from_millis(30)));
    assert!(told.iter().all(|slow| slow.task.name != "quick"));
    assert!(told[0].to_string().contains("insight.rs"), "{}", told[0]);
}

#[test]
fn a_task_that_is_over_is_shown_as_such() {
    ourio::run(async {
        let task = spawn(async {});
        assert_eq!(task.info().state, TaskState::Created);
        settle().await;
        assert_eq!(task.info().state, TaskState::Finished);
        assert_eq!(task.info().waits_for, None);
    })
    .expect("an end");
}

/// The race of the book: read, wait, write.
async fn lost_update(tasks: u32) {
    let balance = Rc::new(Cell::new(0));
    let workers: Vec<_> = (0..tasks)
        .map(|_| {
            let balance = Rc::clone(&balance);
            spawn(async move {
                sleep(Duration::from_millis(1)).await;
                let before = balance.get();
                // Whether somebody comes in between is the schedule's choice.
                if before % 2 == 1 {
                    yield_now().await;
                }
                balance.set(before + 1);
            })
        })
        .collect();
    gather(workers).await.expect("no panic");
    assert_eq!(balance.get(), tasks);
}

#[test]
fn a_race_is_found_within_a_hundred_seeds_and_replayed_from_its_seed_every_time() {
    let failure = explore(0..100, || lost_update(3)).expect_err("the race is found");
    assert!(failure.to_string().contains(&format!("OURIO_SEED={}", failure.seed)));
    for _ in 0..20 {
        let again = explore(failure.seed..failure.seed + 1, || lost_update(3)).expect_err("every time");
        assert_eq!(again.trace, failure.trace);
        assert_eq!(again.error.to_string(), failure.error.to_string());
    }
    // The text of its choices replays it too, without the seed.
    let text = failure.trace.expect("a seeded run makes choices").to_string();
    let replayed = Simulation::replay(text.parse().expect("a trace")).run(lost_update(3));
    assert!(matches!(replayed.outcome, Err(Error::Panicked(_))));
}

#[test]
fn a_deadlock_that_only_some_orders_have_is_found_too() {
    let failure = explore(0..100, || async {
        let locks = Rc::new((Lock::new(()), Lock::new(())));
        let other = Rc::clone(&locks);
        let one = spawn(async move {
            let _first = locks.0.acquire().await;
            let _second = locks.1.acquire().await;
        });
        let two = spawn(async move {
            yield_now().await;
            yield_now().await;
            let _first = other.1.acquire().await;
            yield_now().await;
            let _second = other.0.acquire().await;
        });
        let three = spawn(async { sleep(Duration::from_millis(1)).await });
        gather((one, two, three)).await.expect("no panic");
    });
    assert!(failure.is_ok(), "in this one the first is through before the second begins");
    let failure = explore(0..100, || async {
        let locks = Rc::new((Lock::new(()), Lock::new(())));
        let take = |first: usize| {
            let locks = Rc::clone(&locks);
            spawn(async move {
                let pair = [&locks.0, &locks.1];
                let _first = pair[first].acquire().await;
                if first == 0 {
                    yield_now().await;
                }
                let _second = pair[1 - first].acquire().await;
            })
        };
        gather((take(0), take(1))).await.expect("no panic");
    })
    .expect_err("some order has it");
    assert!(matches!(failure.error, Error::Deadlock(_)));
}

#[test]
fn a_program_without_races_passes_and_a_year_takes_no_time() {
    check(|| async {
        let queue = Queue::new(1);
        let consumer = {
            let queue = queue.clone();
            spawn(async move { (queue.get().await, queue.get().await) })
        };
        queue.put(1).await.expect("open");
        queue.put(2).await.expect("open");
        assert_eq!(consumer.await, Ok((Ok(1), Ok(2))));
    });
    let year = Duration::from_secs(365 * 24 * 3600);
    let simulated = Simulation::new().run(async move {
        let slow = spawn(sleep(year));
        sleep(year / 2).await;
        slow.await
    });
    assert_eq!(simulated.outcome.expect("an end"), Ok(()));
    assert_eq!(simulated.elapsed, year);
    assert!(simulated.trace.is_none());
}
