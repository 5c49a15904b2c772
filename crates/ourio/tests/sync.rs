//! Synchronisation: fair, and safe to cancel at any moment.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ourio::sync::{
    Barrier, BoundedSemaphore, Condition, Event, LifoQueue, Lock, PriorityQueue, Queue, QueueShutDown,
    ReleasedTooOften, Semaphore, TryGetError, TryPutError,
};
use ourio::{Task, gather, sleep, spawn, timeout, yield_now};

fn simulate<T>(program: impl Future<Output = T>) -> T {
    ourio::testing::run(program).expect("it ends")
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

#[test]
fn a_lock_is_handed_on_in_the_order_of_asking_and_nobody_overtakes() {
    simulate(async {
        let lock = Rc::new(Lock::new(Vec::new()));
        let held = lock.acquire().await;
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let lock = Rc::clone(&lock);
                spawn(async move { lock.acquire().await.push(number) })
            })
            .collect();
        settle().await;
        assert!(lock.locked() && lock.try_acquire().is_none());
        drop(held);
        assert!(lock.try_acquire().is_none(), "it belongs to the first who waits");
        gather(tasks).await.expect("no panic");
        assert_eq!(*lock.acquire().await, [0, 1, 2, 3, 4]);
        assert!(!lock.locked());
    });
}

#[test]
fn a_waiter_that_is_cancelled_takes_no_lock_with_it() {
    simulate(async {
        let lock = Rc::new(Lock::new(0));
        let held = lock.acquire().await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let lock = Rc::clone(&lock);
                spawn(async move { *lock.acquire().await += 1 })
            })
            .collect();
        settle().await;
        waiting[0].cancel();
        settle().await;
        drop(held);
        // The second has been given the lock, and is cancelled before it can run.
        waiting[1].cancel();
        settle().await;
        assert!(waiting[2].done());
        assert_eq!(lock.try_acquire().map(|count| *count), Some(1));
        // A place that was waited at a thousand times in vain holds nothing.
        let held = lock.acquire().await;
        for _ in 0..1000 {
            assert!(timeout(Duration::from_millis(1), lock.acquire()).await.is_err());
        }
        drop(held);
        assert!(lock.try_acquire().is_some());
    });
}

#[test]
fn a_semaphore_lets_as_many_in_as_it_has_permits() {
    simulate(async {
        let semaphore = Semaphore::new(3);
        let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (semaphore, now, most) = (semaphore.clone(), Rc::clone(&now), Rc::clone(&most));
                spawn(async move {
                    let _permit = semaphore.acquire().await;
                    now.set(now.get() + 1);
                    most.set(most.get().max(now.get()));
                    sleep(Duration::from_millis(1)).await;
                    now.set(now.get() - 1);
                })
            })
            .collect();
        gather(tasks).await.expect("no panic");
        assert_eq!((now.get(), most.get()), (0, 3));
        assert_eq!(semaphore.available_permits(), 3);
        semaphore.release();
        assert_eq!(semaphore.available_permits(), 4, "a semaphore may be released at will");

        let bounded = BoundedSemaphore::new(1);
        let permit = bounded.try_acquire().expect("free");
        assert!(bounded.locked() && bounded.try_acquire().is_none());
        permit.forget();
        assert_eq!(bounded.release(), Ok(()));
        assert_eq!(bounded.release(), Err(ReleasedTooOften));
        drop(bounded.acquire().await);
    });
}

#[test]
fn an_event_lets_everybody_on_even_if_it_is_cleared_at_once() {
    simulate(async {
        let event = Event::new();
        let waiting: Vec<Task<()>> = (0..3)
            .map(|_| {
                let event = event.clone();
                spawn(async move { event.wait().await })
            })
            .collect();
        settle().await;
        assert!(waiting.iter().all(|task| !task.done()));
        event.set();
        event.clear();
        gather(waiting).await.expect("all go on");
        assert!(!event.is_set());
        assert!(timeout(Duration::from_millis(1), event.wait()).await.is_err());
        event.set();
        event.wait().await;
    });
}

#[test]
fn a_condition_notifies_in_order_and_a_lost_notification_is_passed_on() {
    simulate(async {
        let shared = Rc::new((Lock::new(Vec::new()), Condition::new()));
        let waiter = |number: u32| {
            let shared = Rc::clone(&shared);
            spawn(async move {
                let (lock, condition) = &*shared;
                let mut order = condition.wait(lock.acquire().await).await;
                order.push(number);
            })
        };
        let tasks = [waiter(0), waiter(1), waiter(2), waiter(3)];
        settle().await;
        shared.1.notify(1);
        settle().await;
        assert_eq!(*shared.0.acquire().await, [0]);
        shared.1.notify(1);
        tasks[1].cancel();
        settle().await;
        assert_eq!(*shared.0.acquire().await, [0, 2], "the cancelled one's notification went to the next");
        shared.1.notify_all();
        settle().await;
        assert_eq!(*shared.0.acquire().await, [0, 2, 3]);

        let filler = Rc::clone(&shared);
        let filling = spawn(async move {
            for _ in 0..3 {
                sleep(Duration::from_millis(1)).await;
                filler.0.acquire().await.push(9);
                filler.1.notify_all();
            }
        });
        let full = shared.1.wait_for(shared.0.acquire().await, |order| order.len() == 6).await;
        assert_eq!(full.len(), 6);
        drop(full);
        filling.await.expect("no panic");
    });
}

#[test]
fn a_barrier_opens_when_all_have_come_and_again_and_can_break() {
    simulate(async {
        let barrier = Barrier::new(3);
        for _round in 0..2 {
            let arrivals = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = (0..3)
                .map(|_| {
                    let (barrier, arrivals) = (barrier.clone(), Rc::clone(&arrivals));
                    spawn(async move {
                        let index = barrier.wait().await.expect("whole");
                        arrivals.borrow_mut().push(index);
                    })
                })
                .collect();
            gather(tasks).await.expect("no panic");
            let mut arrivals = arrivals.borrow().clone();
            arrivals.sort_unstable();
            assert_eq!(arrivals, [0, 1, 2]);
        }
        // Whoever gives up is as if it had not come.
        assert!(timeout(Duration::from_millis(1), barrier.wait()).await.is_err());
        assert_eq!(barrier.n_waiting(), 0);
        let waiting = {
            let barrier = barrier.clone();
            spawn(async move { barrier.wait().await })
        };
        settle().await;
        barrier.reset();
        assert!(waiting.await.expect("no panic").is_err());
        assert!(!barrier.broken());
        barrier.abort();
        assert!(barrier.wait().await.is_err() && barrier.broken());
        assert_eq!(Barrier::new(1).wait().await, Ok(0));
    });
}

#[test]
fn queues_keep_their_order() {
    simulate(async {
        let (fifo, lifo, lowest) = (Queue::new(0), LifoQueue::new(0), PriorityQueue::new(0));
        for item in [3, 1, 2] {
            fifo.put(item).await.expect("open");
            lifo.put(item).await.expect("open");
            lowest.put(item).await.expect("open");
        }
        let mut got = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..3 {
            got[0].push(fifo.get().await.expect("an item"));
            got[1].push(lifo.get().await.expect("an item"));
            got[2].push(lowest.get().await.expect("an item"));
        }
        assert_eq!(got, [vec![3, 1, 2], vec![2, 1, 3], vec![1, 2, 3]]);
        assert_eq!((fifo.maxsize(), fifo.empty(), fifo.full()), (0, true, false));
    });
}

#[test]
fn a_bounded_queue_makes_its_producers_wait() {
    simulate(async {
        let queue = Queue::new(2);
        queue.put_nowait(1).expect("room");
        queue.put_nowait(2).expect("room");
        assert_eq!(queue.put_nowait(3), Err(TryPutError::Full(3)));
        let putting = {
            let queue = queue.clone();
            spawn(async move { queue.put(3).await })
        };
        settle().await;
        assert!(queue.full() && !putting.done());
        assert_eq!(queue.get().await, Ok(1));
        assert_eq!(queue.put_nowait(4), Err(TryPutError::Full(4)), "the room belongs to who waits");
        settle().await;
        assert!(putting.done());
        assert_eq!((queue.get().await, queue.get().await), (Ok(2), Ok(3)));
        assert_eq!(queue.get_nowait(), Err(TryGetError::Empty));
    });
}

#[test]
fn a_getter_that_is_cancelled_loses_no_item() {
    simulate(async {
        let queue = Queue::new(0);
        let getter = || {
            let queue = queue.clone();
            spawn(async move { queue.get().await })
        };
        let (first, second) = (getter(), getter());
        settle().await;
        queue.put_nowait("item").expect("room");
        // It was promised the item, and never runs.
        first.cancel();
        assert_eq!(second.await, Ok(Ok("item")));
        assert!(first.await.is_err());
    });
}

#[test]
fn join_waits_for_all_that_was_put_in_to_be_dealt_with() {
    simulate(async {
        let queue = Queue::new(0);
        queue.join().await;
        for item in 0..3 {
            queue.put_nowait(item).expect("room");
        }
        let joined = {
            let queue = queue.clone();
            spawn(async move { queue.join().await })
        };
        for _ in 0..3 {
            settle().await;
            assert!(!joined.done());
            queue.get().await.expect("an item");
            assert!(queue.task_done());
        }
        joined.await.expect("no panic");
        assert!(!queue.task_done(), "called too many times");
    });
}

#[test]
fn a_queue_that_is_shut_down_gives_what_it_has_and_then_says_so() {
    simulate(async {
        let queue = Queue::new(1);
        queue.put_nowait(1).expect("room");
        let putting = {
            let queue = queue.clone();
            spawn(async move { queue.put(2).await })
        };
        settle().await;
        queue.shutdown(false);
        assert_eq!(putting.await, Ok(Err(TryPutError::ShutDown(2))));
        assert_eq!(queue.get().await, Ok(1));
        assert_eq!(queue.get().await, Err(QueueShutDown));
        assert_eq!(queue.get_nowait(), Err(TryGetError::ShutDown));
        assert_eq!(queue.put(3).await, Err(TryPutError::ShutDown(3)));

        let empty: Queue<u8> = Queue::new(0);
        let getters: Vec<_> = (0..2)
            .map(|_| {
                let empty = empty.clone();
                spawn(async move { empty.get().await })
            })
            .collect();
        settle().await;
        empty.shutdown(true);
        for getter in getters {
            assert_eq!(getter.await, Ok(Err(QueueShutDown)));
        }
        let full = Queue::new(0);
        full.put_nowait(1).expect("room");
        full.shutdown(true);
        full.join().await;
        assert!(full.empty() && full.is_shut_down());
    });
}

/// Whatever the order, and whoever is cancelled when: nothing is lost, nothing comes twice.
#[test]
fn producers_and_consumers_lose_nothing_under_any_schedule() {
    ourio::testing::check(|| async {
        let queue = Queue::new(2);
        let taken = Rc::new(RefCell::new(Vec::new()));
        let producers: Vec<_> = (0..3)
            .map(|producer| {
                let queue = queue.clone();
                spawn(async move {
                    for item in 0..10 {
                        queue.put(producer * 10 + item).await.expect("open");
                    }
                })
            })
            .collect();
        let consumers: Vec<_> = (0..4)
            .map(|_| {
                let (queue, taken) = (queue.clone(), Rc::clone(&taken));
                spawn(async move {
                    loop {
                        // An impatient one: its get is dropped again and again.
                        match timeout(Duration::from_nanos(1), queue.get()).await {
                            Err(_) => yield_now().await,
                            Ok(Err(QueueShutDown)) => break,
                            Ok(Ok(item)) => {
                                taken.borrow_mut().push(item);
                                queue.task_done();
                            }
                        }
                    }
                })
            })
            .collect();
        gather(producers).await.expect("no panic");
        queue.join().await;
        queue.shutdown(false);
        gather(consumers).await.expect("no panic");
        let mut taken = taken.borrow().clone();
        taken.sort_unstable();
        assert_eq!(taken, (0..30).collect::<Vec<_>>());
    });
}
