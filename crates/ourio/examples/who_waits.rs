//! Scenario 12: where a suspended task waits, and who waits for it.

use std::rc::Rc;
use std::time::Duration;

use ourio::sync::Lock;
use ourio::{sleep, spawn_named, task_tree, yield_now};

fn main() -> Result<(), ourio::Error> {
    let tree = ourio::run(async {
        let database = Rc::new(Lock::new(()));
        let (held, wanted) = (Rc::clone(&database), Rc::clone(&database));
        let migration = spawn_named("migration", async move {
            let _held = held.acquire().await;
            sleep(Duration::from_secs(3600)).await;
        });
        let query = spawn_named("query", async move { drop(wanted.acquire().await) });
        let request = spawn_named("request", query);
        for _ in 0..3 {
            yield_now().await;
        }
        let tree = task_tree();
        migration.cancel();
        request.await.expect("it is served after all").expect("and does not panic");
        tree
    })?;
    print!("{tree}");
    assert!(tree.contains("request (suspended)") && tree.contains("waits for a lock (migration)"));
    Ok(())
}
