//! Scenario 9: created, running, suspended, finished: each can be seen, of a coroutine and of a task.

use ourio::CoroutineState::{Closed, Created, Running, Suspended};
use ourio::{Coroutine, CoroutineState, Resumed, TaskState, Yielder};

fn main() -> Result<(), ourio::Error> {
    let mut coroutine = Coroutine::new(|yielder: Yielder<CoroutineState, ()>| async move {
        let inside = yielder.state();
        drop(yielder.put(inside).await);
    });
    let mut seen = vec![coroutine.state()];
    if let Resumed::Yielded(inside) = coroutine.start() {
        seen.push(inside);
    }
    seen.push(coroutine.state());
    assert_eq!(coroutine.send(()), Resumed::Returned(()));
    seen.push(coroutine.state());
    println!("a coroutine: {seen:?}");
    assert_eq!(seen, [Created, Running, Suspended, Closed]);

    let seen = ourio::run(async {
        let task = ourio::spawn(async {
            let inside = ourio::current_task().map(|task| task.state);
            ourio::yield_now().await;
            inside
        });
        let created = task.state();
        ourio::yield_now().await;
        let suspended = task.state();
        let inside = task.await.expect("it does not panic").expect("it runs in a task");
        let done = ourio::spawn(async {});
        ourio::yield_now().await;
        [created, inside, suspended, done.state()]
    })?;
    println!("a task: {seen:?}");
    assert_eq!(seen, [TaskState::Created, TaskState::Running, TaskState::Suspended, TaskState::Finished]);
    Ok(())
}
