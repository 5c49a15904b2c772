//! Coroutines that are driven by hand: states, values both ways, errors, closing, iteration, awaiting.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ourio::{Coroutine, CoroutineState, Resumed, Yielder};

fn echo() -> Coroutine<String, &'static str, usize> {
    Coroutine::new(|yielder| async move {
        let mut received = 0;
        let mut answer = "ready".to_owned();
        loop {
            match yielder.put(answer).await {
                Ok("stop") => return received,
                Ok(word) => answer = word.to_uppercase(),
                Err(error) => answer = format!("caught {error}"),
            }
            received += 1;
        }
    })
}

#[test]
fn values_go_both_ways_until_it_returns() {
    let mut coroutine = echo();
    assert_eq!(coroutine.state(), CoroutineState::Created);
    assert_eq!(coroutine.send("too early"), Resumed::NotStarted);
    assert_eq!(coroutine.throw("too early"), Resumed::NotStarted);
    assert_eq!(coroutine.start(), Resumed::Yielded("ready".to_owned()));
    assert_eq!(coroutine.state(), CoroutineState::Suspended);
    assert_eq!(coroutine.send("a"), Resumed::Yielded("A".to_owned()));
    assert_eq!(coroutine.throw("b"), Resumed::Yielded("caught b".to_owned()));
    assert_eq!(coroutine.send("stop"), Resumed::Returned(2));
    assert_eq!(coroutine.state(), CoroutineState::Closed);
    assert_eq!(coroutine.send("again"), Resumed::Closed);
}

#[test]
fn nothing_runs_before_it_is_started_and_close_runs_destructors() {
    #[derive(Clone, Default)]
    struct Log(Rc<RefCell<Vec<&'static str>>>);
    struct Guard(Log);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.0.borrow_mut().push("dropped");
        }
    }
    let log = Log::default();
    let make = || {
        let log = log.clone();
        Coroutine::new(move |yielder: Yielder<(), ()>| async move {
            log.0.borrow_mut().push("started");
            let _guard = Guard(log.clone());
            assert_eq!(yielder.state(), CoroutineState::Running);
            // An error that is not looked at is dropped, as any result.
            drop(yielder.put(()).await);
            log.0.borrow_mut().push("never");
        })
    };
    drop(make());
    assert!(log.0.borrow().is_empty());
    let mut coroutine = make();
    assert_eq!(coroutine.start(), Resumed::Yielded(()));
    assert_eq!(coroutine.start(), Resumed::Awaiting, "it waits for a value");
    coroutine.close();
    assert_eq!(coroutine.state(), CoroutineState::Closed);
    assert_eq!(coroutine.start(), Resumed::Closed);
    assert_eq!(*log.0.borrow(), ["started", "dropped"]);
}

#[test]
fn one_that_only_yields_is_an_iterator() {
    let fibonacci = Coroutine::new(|yielder: Yielder<u64, ()>| async move {
        let (mut a, mut b) = (0, 1);
        while yielder.put(a).await.is_ok() {
            (a, b) = (b, a + b);
        }
    });
    assert_eq!(fibonacci.take(10).collect::<Vec<_>>(), [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]);
}

#[test]
fn one_that_awaits_a_loop_is_awaited_in_a_task() {
    let make = || {
        Coroutine::new(|yielder: Yielder<&'static str, u32>| async move {
            let mut total = 0;
            for step in ["one", "two"] {
                ourio::sleep(Duration::from_micros(10)).await;
                total += 10 + yielder.put(step).await.unwrap_or(100);
            }
            total
        })
    };
    assert_eq!(ourio::run(make()).expect("a loop"), 20);
    let spawned = ourio::run(async move { ourio::spawn(make()).await }).expect("a loop");
    assert_eq!(spawned, Ok(20));
}
