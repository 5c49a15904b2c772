//! Scenario 18: what runs, what blocks, what is stuck: `current_task`, `all_tasks`, slow steps, the deadlock.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ourio::sync::Lock;
use ourio::{Error, EventLoop, all_tasks, current_task, gather, spawn_named, yield_now};

fn main() -> Result<(), Error> {
    let event_loop = EventLoop::builder().slow_callback_duration(Duration::from_millis(30)).build()?;
    let told = Rc::new(RefCell::new(Vec::new()));
    let tell = Rc::clone(&told);
    event_loop.on_slow_poll(move |slow| {
        println!("{slow}");
        tell.borrow_mut().push(slow.task.name.clone());
    });
    event_loop.run_until_complete(async {
        let report = spawn_named("report", async {
            // A blocking call on the loop: everybody else waits.
            std::thread::sleep(Duration::from_millis(40));
            current_task().map(|task| task.name)
        });
        println!("{} tasks:", all_tasks().len());
        for task in all_tasks() {
            println!("  {task}");
        }
        assert_eq!(report.await.expect("no panic").as_deref(), Some("report"));
    })?;
    assert_eq!(*told.borrow(), ["report"]);

    let stuck = ourio::run(async {
        let locks = Rc::new((Lock::new("accounts"), Lock::new("orders")));
        let other = Rc::clone(&locks);
        let bill = spawn_named("bill", async move {
            let _accounts = locks.0.acquire().await;
            yield_now().await;
            let _orders = locks.1.acquire().await;
        });
        let ship = spawn_named("ship", async move {
            let _orders = other.1.acquire().await;
            yield_now().await;
            let _accounts = other.0.acquire().await;
        });
        gather((bill, ship)).await
    });
    match stuck {
        Err(Error::Deadlock(deadlock)) => println!("{deadlock}"),
        other => unreachable!("{other:?}"),
    }
    Ok(())
}
