//! Scenario 16: the concurrency helpers: gather, wait, as_completed, wait_for, timeout, shield, task groups, threads.
//!
//! In virtual time: the hours pass at once.

use std::time::Duration;

use ourio::{
    Failure, ReturnWhen, Task, as_completed, gather, gather_all, shield, sleep, spawn, task_group, timeout,
    to_thread, wait, wait_for,
};

const HOUR: Duration = Duration::from_secs(3600);

fn after(hours: u32) -> Task<u32> {
    spawn(async move {
        sleep(HOUR * hours).await;
        hours
    })
}

fn main() -> Result<(), ourio::Error> {
    std::panic::set_hook(Box::new(|_| {}));
    ourio::testing::run(async {
        let both = gather((after(2), spawn(async { "at once" }))).await;
        println!("gather: {both:?}");
        assert_eq!(both, Ok((2, "at once")));

        let outcomes = gather_all(vec![after(1), spawn(async { panic!("a bug") })]).await;
        println!(
            "gather_all: {} of {} returned",
            outcomes.iter().filter(|one| one.is_ok()).count(),
            outcomes.len()
        );

        let (done, pending) = wait(vec![after(3), after(1)], ReturnWhen::FirstCompleted, None).await;
        println!("wait: {} done, {} pending", done.len(), pending.len());

        let mut completed = as_completed(vec![after(3), after(1), after(2)]);
        let mut order = Vec::new();
        while let Some(hours) = completed.next().await {
            order.push(hours.expect("no panic"));
        }
        println!("as_completed: {order:?}");
        assert_eq!(order, [1, 2, 3]);

        println!("timeout: {:?}", timeout(HOUR, sleep(2 * HOUR)).await);
        println!("wait_for: {:?}", wait_for(async { 1 }, Some(HOUR)).await);

        let payment = shield(async {
            sleep(HOUR).await;
            "paid"
        });
        let payment = std::cell::RefCell::new(payment);
        let impatient = timeout(
            Duration::from_secs(1),
            std::future::poll_fn(|context| std::pin::Pin::new(&mut *payment.borrow_mut()).poll(context)),
        );
        assert!(impatient.await.is_err());
        println!("shield: given up on, and yet {:?}", payment.into_inner().await);

        let failed = task_group(|group| async move {
            drop(group.spawn(async {
                sleep(HOUR).await;
                Err::<(), _>("one fails")
            }));
            let sibling = group.spawn(async {
                sleep(100 * HOUR).await;
                Ok(())
            });
            sibling.await.map_err(|_| "never told: the group is ending")
        })
        .await
        .expect_err("one fails");
        println!("task_group: {failed}");
        assert_eq!(failed.failures, [Failure::Error("one fails")]);

        println!("to_thread: {:?}", to_thread(|| (1..=100).sum::<u32>()).await);
    })
}
