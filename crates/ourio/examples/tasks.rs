//! Scenario 10: tasks: name, done, cancelled, result, panics, a cancellation with a message, callbacks, awaiting twice.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ourio::{TaskError, sleep, spawn, spawn_named};

fn main() -> Result<(), ourio::Error> {
    ourio::run(async {
        let task = spawn_named("answer", async {
            sleep(Duration::from_millis(1)).await;
            42
        });
        println!("{task:?}");
        assert_eq!((task.name().as_str(), task.done()), ("answer", false));
        let told = Rc::new(Cell::new(false));
        let tell = Rc::clone(&told);
        task.add_done_callback(move |state| {
            println!("done: {state}");
            tell.set(true);
        });
        assert_eq!(task.await, Ok(42));
        assert!(told.get());

        let endless = spawn(std::future::pending::<()>());
        endless.cancel_with("we have waited long enough");
        match endless.await {
            Err(TaskError::Cancelled(cancelled)) => println!("{cancelled}"),
            other => unreachable!("{other:?}"),
        }

        // A panic is its joiner's to see, and ends nothing else.
        std::panic::set_hook(Box::new(|_| {}));
        let broken = spawn(async { panic!("a bug") }).await;
        println!("{}", broken.as_ref().map_or_else(ToString::to_string, |()| String::new()));
        assert!(matches!(broken, Err(TaskError::Panicked(_))));

        let shared = spawn(async { "awaited twice" }).shared();
        assert_eq!(shared.clone().await, shared.await);
    })
}
