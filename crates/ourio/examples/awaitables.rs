//! Scenarios 5 and 13: what can be awaited: a coroutine, a task, a future that is set by hand, a type of one's own,
//! and one that is made of an iterator.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ourio::{Coroutine, Yielder};

/// An awaitable of a library author: waits for some turns of the loop.
struct Turns(u32);

impl Future for Turns {
    type Output = &'static str;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0 == 0 {
            return Poll::Ready("own type");
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What an `IntoFuture` gives is awaited in its place, as Python's `__await__`.
struct Greeting(&'static str);

impl IntoFuture for Greeting {
    type Output = String;
    type IntoFuture = std::future::Ready<String>;

    fn into_future(self) -> Self::IntoFuture {
        std::future::ready(format!("hello, {}", self.0))
    }
}

fn main() -> Result<(), ourio::Error> {
    ourio::run(async {
        let coroutine = async { "coroutine" };
        println!("{}", coroutine.await);

        let task = ourio::spawn(async { "task" });
        println!("{}", task.await.expect("it does not panic"));

        let future = ourio::Future::new();
        let set = future.clone();
        drop(ourio::call_later(Duration::from_millis(1), move || {
            assert!(set.set_result("future set by hand"));
        }));
        println!("{}", future.await.expect("it is not cancelled"));

        println!("{}", Turns(3).await);
        println!("{}", Greeting("own type with IntoFuture").await);

        let steps = Coroutine::new(|yielder: Yielder<u32, ()>| async move {
            for step in 0..3 {
                if yielder.put(step).await.is_err() {
                    break;
                }
            }
            "generator-based"
        });
        println!("{}", steps.await);
    })
}
