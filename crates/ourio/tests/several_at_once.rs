//! The concurrency helpers, with asyncio's semantics: wait, as_completed, wait_for, timeout, shield, task groups,
//! threads, shared handles, the runner.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use ourio::testing::Simulation;
use ourio::{
    Either, Error, EventLoop, Failure, ReturnWhen, Runner, Task, TaskError, TaskState, as_completed, gather,
    race, shield, sleep, spawn, task_group, timeout, timeout_scope, to_thread, wait, wait_for, yield_now,
};

/// Says that it was dropped.
struct Dropped(Rc<RefCell<Vec<&'static str>>>, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.borrow_mut().push(self.1);
    }
}

/// The same, of one.
struct Told(Rc<Cell<bool>>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const HOUR: Duration = Duration::from_secs(3600);

fn panic_with(text: &str) -> Result<(), &'static str> {
    panic!("{text}")
}

/// Tasks that end after these many milliseconds, in virtual time.
fn sleepers(times: &[u64]) -> Vec<Task<u64>> {
    let one = |time: &u64| {
        let time = *time;
        spawn(async move {
            sleep(millis(time)).await;
            time
        })
    };
    times.iter().map(one).collect()
}

/// Runs in virtual time: what takes an hour takes none, and the order is always the same.
fn simulate<T>(program: impl Future<Output = T>) -> T {
    ourio::testing::run(program).expect("it ends")
}

#[test]
fn wait_returns_at_the_first_the_first_failure_or_the_last() {
    simulate(async {
        let (done, pending) = wait(sleepers(&[30, 10, 20]), ReturnWhen::FirstCompleted, None).await;
        assert_eq!((done.len(), pending.len()), (1, 2));
        assert!(pending.iter().all(|task| !task.cancelled()), "nobody is cancelled");
        let (done, pending) = wait(pending, ReturnWhen::AllCompleted, None).await;
        assert_eq!((done.len(), pending.len()), (2, 0));

        let mut tasks = sleepers(&[1000, 2000]);
        tasks.push(spawn(async {
            sleep(millis(5)).await;
            panic!("on purpose")
        }));
        let (done, pending) = wait(tasks, ReturnWhen::FirstException, None).await;
        assert_eq!((done.len(), pending.len()), (1, 2));
        assert_eq!(done[0].state(), TaskState::Panicked);
    });
}

#[test]
fn wait_without_time_left_gives_what_there_is_and_cancels_nobody() {
    simulate(async {
        let (done, pending) = wait(sleepers(&[10, 3000]), ReturnWhen::AllCompleted, Some(millis(100))).await;
        assert_eq!((done.len(), pending.len()), (1, 1));
        assert_eq!(pending.into_iter().next().expect("one").await, Ok(3000));
        let (done, pending) = wait(Vec::<Task<()>>::new(), ReturnWhen::AllCompleted, None).await;
        assert!(done.is_empty() && pending.is_empty());
    });
}

#[test]
fn as_completed_gives_results_in_the_order_in_which_they_are_done() {
    simulate(async {
        let tasks = sleepers(&[30, 10, 20]);
        tasks[2].cancel();
        let results: Vec<_> = as_completed(tasks).collect().await;
        assert!(matches!(results[0], Err(TaskError::Cancelled(_))));
        assert_eq!(results[1..], [Ok(10), Ok(30)]);
        assert!(as_completed(Vec::<Task<()>>::new()).next().await.is_none());
    });
}

#[test]
fn timeouts_nest_and_the_one_that_runs_out_tells_its_own_owner() {
    let simulated = Simulation::new().run(async {
        let inner_first = timeout(HOUR, timeout(millis(5), sleep(HOUR * 2))).await;
        assert!(matches!(inner_first, Ok(Err(_))));
        let outer_first = timeout(millis(5), timeout(HOUR, sleep(HOUR * 2))).await;
        assert!(outer_first.is_err());
        assert!(wait_for(sleep(HOUR), Some(millis(1))).await.is_err());
        assert!(wait_for(sleep(millis(1)), None).await.is_ok());
    });
    simulated.outcome.expect("it ends");
    assert_eq!(simulated.elapsed, millis(12));
}

#[test]
fn a_timeout_can_be_moved_from_inside() {
    simulate(async {
        let moved = timeout_scope(Some(millis(10)), async |timeout| {
            timeout.reschedule(Some(HOUR));
            sleep(millis(500)).await;
            timeout.expired()
        });
        assert_eq!(moved.await, Ok(false));
        let shortened = timeout_scope(None, async |timeout| {
            timeout.reschedule(Some(millis(3)));
            sleep(HOUR).await;
        });
        assert!(shortened.await.is_err());
    });
}

#[test]
fn what_is_shielded_goes_on_when_its_joiner_is_cancelled() {
    simulate(async {
        let finished = Rc::new(Cell::new(false));
        let inside = Rc::clone(&finished);
        let outer = spawn(async move {
            shield(async move {
                sleep(millis(10)).await;
                inside.set(true);
            })
            .await
        });
        yield_now().await;
        yield_now().await;
        outer.cancel();
        assert!(outer.await.is_err());
        assert!(!finished.get());
        sleep(millis(20)).await;
        assert!(finished.get());
    });
}

#[test]
fn a_shared_task_is_awaited_by_many_and_more_than_once() {
    simulate(async {
        let shared = spawn(async {
            sleep(millis(5)).await;
            String::from("once")
        })
        .shared();
        let others: Vec<_> = (0..3).map(|_| spawn(shared.clone())).collect();
        for result in gather(others).await.expect("no panic") {
            assert_eq!(result, Ok(String::from("once")));
        }
        assert_eq!(shared.clone().await, shared.await);

        let cancelled = spawn(std::future::pending::<()>()).shared();
        cancelled.cancel_with("enough");
        match cancelled.clone().await {
            Err(TaskError::Cancelled(cancelled)) => assert_eq!(cancelled.message(), Some("enough")),
            other => panic!("{other:?}"),
        }
        assert!(cancelled.result().is_some());
        let late = spawn(async { 1 });
        yield_now().await;
        assert_eq!(late.shared().await, Ok(1), "it was done before it was shared");
    });
}

#[test]
fn race_drops_the_one_that_is_not_done() {
    simulate(async {
        assert_eq!(race(sleep(millis(1)), sleep(HOUR)).await, Either::First(()));
        assert_eq!(race(sleep(HOUR), async { 2 }).await, Either::Second(2));
    });
}

#[test]
fn a_task_group_waits_for_all_and_gives_the_bodys_value() {
    simulate(async {
        let total = Rc::new(Cell::new(0));
        let counted = Rc::clone(&total);
        let value = task_group(|group| async move {
            for number in 1..=3 {
                let (counted, group_again) = (Rc::clone(&counted), group.clone());
                drop(group.spawn(async move {
                    sleep(millis(number)).await;
                    // A task may spawn into its own group.
                    drop(group_again.spawn(async move {
                        sleep(millis(1)).await;
                        counted.set(counted.get() + number);
                        Ok::<_, String>(())
                    }));
                    Ok(())
                }));
            }
            Ok("value")
        });
        assert_eq!(value.await.expect("nobody fails"), "value");
        assert_eq!(total.get(), 6);
    });
}

#[test]
fn the_first_failure_of_a_group_cancels_the_others_and_all_errors_are_told() {
    simulate(async {
        let dropped = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&dropped);
        let failed = task_group(|group| async move {
            let sleeper = Dropped(Rc::clone(&seen), "sibling");
            drop(group.spawn(async move {
                let _held = sleeper;
                sleep(HOUR).await;
                Ok(())
            }));
            drop(group.spawn(async {
                sleep(millis(1)).await;
                Err::<(), _>("first")
            }));
            drop(group.spawn(async {
                sleep(millis(1)).await;
                panic_with("second")
            }));
            let _body = Dropped(seen, "body");
            sleep(HOUR).await;
            Ok(())
        })
        .await
        .expect_err("two of them fail");
        assert_eq!(failed.failures[0], Failure::Error("first"));
        assert!(matches!(&failed.failures[1], Failure::Panicked(panicked) if panicked.message() == "second"));
        assert_eq!(failed.failures.len(), 2);
        let mut dropped = dropped.borrow().clone();
        dropped.sort_unstable();
        assert_eq!(dropped, ["body", "sibling"]);
    });
}

#[test]
fn a_group_whose_body_fails_cancels_its_tasks_and_one_that_ends_takes_no_more() {
    simulate(async {
        let kept = Rc::new(RefCell::new(None));
        let inside = Rc::clone(&kept);
        let failed = task_group(|group| async move {
            inside.replace(Some(group.clone()));
            drop(group.spawn(std::future::pending::<Result<(), &str>>()));
            yield_now().await;
            Err::<(), _>("body")
        });
        assert_eq!(failed.await.expect_err("the body fails").failures, [Failure::Error("body")]);
        let group = kept.take().expect("kept");
        assert!(group.spawn(async { Ok(1) }).await.is_err(), "it is over");
    });
}

#[test]
fn a_task_that_is_cancelled_alone_is_no_failure_of_its_group() {
    simulate(async {
        let value = task_group(|group| async move {
            let cancelled = group.spawn(std::future::pending::<Result<(), &str>>());
            cancelled.cancel();
            assert!(cancelled.await.is_err());
            Ok(7)
        });
        assert_eq!(value.await.expect("no failure"), 7);
    });
}

#[test]
fn a_group_that_is_dropped_cancels_its_tasks() {
    simulate(async {
        let task = Rc::new(RefCell::new(None));
        let kept = Rc::clone(&task);
        let grouped = spawn(task_group(|group| async move {
            kept.replace(Some(group.spawn(std::future::pending::<Result<(), &str>>())));
            sleep(HOUR).await;
            Ok(())
        }));
        yield_now().await;
        yield_now().await;
        grouped.cancel();
        assert!(grouped.await.is_err());
        assert!(task.take().expect("spawned").await.is_err());
    });
}

#[test]
fn blocking_calls_run_on_threads_and_their_panics_are_errors() {
    let event_loop = EventLoop::builder().blocking_threads(2).build().expect("a loop");
    event_loop
        .run_until_complete(async {
            let own = std::thread::current().id();
            let other = to_thread(|| std::thread::current().id()).await.expect("no panic");
            assert_ne!(own, other);
            let calls: Vec<_> = (0..50u64).map(|n| to_thread(move || n * n)).collect();
            let mut total = 0;
            for call in calls {
                total += call.await.expect("no panic");
            }
            assert_eq!(total, (0..50).map(|n| n * n).sum::<u64>());
            match to_thread(|| -> () { panic!("in a thread") }).await {
                Err(TaskError::Panicked(panicked)) => assert_eq!(panicked.message(), "in a thread"),
                other => panic!("{other:?}"),
            }
            drop(to_thread(|| ()));
        })
        .expect("an end");
    ourio::testing::run(async {
        let own = std::thread::current().id();
        assert_eq!(to_thread(|| std::thread::current().id()).await, Ok(own), "virtual time has one thread");
    })
    .expect("an end");
}

#[test]
fn a_runner_runs_several_and_ends_on_a_signal() {
    let runner = Runner::new().expect("a loop").shutdown_on([ourio::signal::SIGUSR1]);
    assert_eq!(runner.run(async { 1 }).expect("an end"), 1);
    let dropped = Rc::new(Cell::new(false));
    let guard = Told(Rc::clone(&dropped));
    let ended = runner.run(async move {
        let _guard = guard;
        let pid = std::process::id().to_string();
        let sent = ourio::process::Command::new("kill").args(["-USR1", &pid]).status().await;
        assert!(sent.expect("kill runs").success());
        sleep(HOUR).await;
    });
    match ended {
        Err(Error::Cancelled(cancelled)) => {
            assert_eq!(cancelled.message(), Some(&*format!("signal {}", ourio::signal::SIGUSR1)));
        }
        other => panic!("{other:?}"),
    }
    assert!(dropped.get());
    assert_eq!(runner.run(async { 2 }).expect("it can run again"), 2);
    runner.close();
}

#[test]
fn a_future_of_another_thread_is_run_and_its_outcome_awaited_there() {
    let event_loop = EventLoop::new().expect("a loop");
    let handle = event_loop.handle();
    let other = std::thread::spawn(move || {
        let outcome = handle.run_threadsafe(|| async {
            let local = Rc::new(5);
            yield_now().await;
            *local + 1
        });
        let value = outcome.expect("open").wait();
        handle
            .call_soon_threadsafe(|| assert!(ourio::all_tasks().iter().all(ourio::TaskInfo::cancel)))
            .expect("open");
        value
    });
    let ended = event_loop.run_until_complete(std::future::pending::<()>());
    assert!(matches!(ended, Err(Error::Cancelled(_))));
    assert_eq!(other.join().expect("no panic"), Ok(6));
}
