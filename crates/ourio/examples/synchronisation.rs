//! Scenario 19: lock, event, condition, semaphore, barrier, queues; fair, and safe to cancel while waiting.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ourio::sync::{Barrier, Condition, Event, Lock, PriorityQueue, Queue, Semaphore};
use ourio::{gather, sleep, spawn, timeout, yield_now};

fn main() -> Result<(), ourio::Error> {
    ourio::testing::run(async {
        let lock = Rc::new(Lock::new(Vec::new()));
        let held = lock.acquire().await;
        let writers: Vec<_> = (0..4)
            .map(|number| {
                let lock = Rc::clone(&lock);
                spawn(async move { lock.acquire().await.push(number) })
            })
            .collect();
        yield_now().await;
        writers[1].cancel();
        yield_now().await;
        drop(held);
        ourio::gather_all(writers).await;
        println!("lock: served in the order of asking: {:?}", lock.acquire().await);
        assert_eq!(*lock.acquire().await, [0, 2, 3]);

        let event = Event::new();
        let waiting = {
            let event = event.clone();
            spawn(async move { event.wait().await })
        };
        event.set();
        waiting.await.expect("no panic");

        let stock = Rc::new((Lock::new(0), Condition::new()));
        let supplier = Rc::clone(&stock);
        let supplying = spawn(async move {
            for _ in 0..3 {
                sleep(Duration::from_secs(1)).await;
                *supplier.0.acquire().await += 1;
                supplier.1.notify_all();
            }
        });
        let enough = stock.1.wait_for(stock.0.acquire().await, |stock| *stock >= 3).await;
        println!("condition: {} in stock", *enough);
        drop(enough);
        supplying.await.expect("no panic");

        let pool = Semaphore::new(2);
        let began = ourio::time();
        let jobs: Vec<_> = (0..6)
            .map(|_| {
                let pool = pool.clone();
                spawn(async move {
                    let _permit = pool.acquire().await;
                    sleep(Duration::from_secs(1)).await;
                })
            })
            .collect();
        gather(jobs).await.expect("no panic");
        println!("semaphore: six jobs of 1 s, two at a time: {:?}", ourio::time().saturating_sub(began));

        let barrier = Barrier::new(3);
        let arrivals: Vec<_> = (0..3)
            .map(|_| {
                let barrier = barrier.clone();
                spawn(async move { barrier.wait().await })
            })
            .collect();
        println!("barrier: {:?}", gather(arrivals).await.expect("no panic"));

        let queue = Queue::new(2);
        let results = Rc::new(RefCell::new(0));
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let (queue, results) = (queue.clone(), Rc::clone(&results));
                spawn(async move {
                    while let Ok(number) = queue.get().await {
                        *results.borrow_mut() += number;
                        queue.task_done();
                    }
                })
            })
            .collect();
        for number in 1..=10 {
            queue.put(number).await.expect("open");
        }
        queue.join().await;
        queue.shutdown(false);
        gather(workers).await.expect("no panic");
        println!("queue: {}", results.borrow());
        assert_eq!(*results.borrow(), 55);

        let urgent = PriorityQueue::new(0);
        for (priority, job) in [(3, "sweep"), (1, "fire"), (2, "cook")] {
            urgent.put_nowait((priority, job)).expect("room");
        }
        assert_eq!(urgent.get().await, Ok((1, "fire")));
        let impatient = timeout(Duration::from_secs(1), Queue::<u8>::new(0).get()).await;
        assert!(impatient.is_err());
    })
}
