//! Scenario 17: clean-up on success, on error and on cancellation: destructors run where a task is dropped; what must
//! await while it cleans up is a task of its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ourio::{Coroutine, Yielder, sleep, spawn, timeout};

/// A connection that says goodbye, which takes time: from a task, as a destructor cannot wait.
struct Connection {
    log: Rc<RefCell<Vec<&'static str>>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.log.borrow_mut().push("closing");
        let log = Rc::clone(&self.log);
        spawn(async move {
            sleep(Duration::from_millis(1)).await;
            log.borrow_mut().push("closed");
        })
        .detach();
    }
}

fn main() -> Result<(), ourio::Error> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let connect = {
        let log = Rc::clone(&log);
        move || Connection { log: Rc::clone(&log) }
    };
    ourio::run(async move {
        let success = connect();
        drop(success);

        let failure = connect();
        let failed: Result<(), &str> = async move {
            let _connection = failure;
            Err("it fails")
        }
        .await;
        assert!(failed.is_err());

        let cancelled = connect();
        let endless = async move {
            let _connection = cancelled;
            std::future::pending::<()>().await;
        };
        assert!(timeout(Duration::from_millis(1), endless).await.is_err());

        // A generator that is left early runs its destructors too.
        let generator = connect();
        let mut rows = Coroutine::new(move |yielder: Yielder<u32, ()>| async move {
            let _connection = generator;
            for row in 0.. {
                if yielder.put(row).await.is_err() {
                    return;
                }
            }
        });
        assert_eq!(rows.by_ref().take(2).collect::<Vec<_>>(), [0, 1]);
        rows.close();
        sleep(Duration::from_millis(20)).await;
    })?;
    println!("{}", log.borrow().join(", "));
    assert_eq!(log.borrow().iter().filter(|what| **what == "closing").count(), 4);
    assert_eq!(log.borrow().iter().filter(|what| **what == "closed").count(), 4);
    Ok(())
}
