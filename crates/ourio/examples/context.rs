//! Scenario 14: context variables: inherited when a task is spawned, its own from then on; through callbacks too.

use std::cell::RefCell;
use std::rc::Rc;

use ourio::{ContextVar, gather, spawn, yield_now};

fn main() -> Result<(), ourio::Error> {
    let request = ContextVar::new("request");
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = move |log: &RefCell<Vec<String>>, what: &str| {
        log.borrow_mut().push(format!("{what} of {}", request.get().unwrap_or("nobody")));
    };
    let inside = Rc::clone(&seen);
    ourio::run(async move {
        let handlers: Vec<_> = ["ann", "bob"]
            .into_iter()
            .map(|user| {
                let seen = Rc::clone(&inside);
                spawn(async move {
                    request.set(user);
                    yield_now().await;
                    log(&seen, "step");
                    let called = Rc::clone(&seen);
                    drop(ourio::call_soon(move || log(&called, "callback")));
                    let child = Rc::clone(&seen);
                    spawn(async move {
                        log(&child, "child");
                        request.set("the child alone");
                    })
                    .await
                    .expect("no panic");
                    log(&seen, "end");
                })
            })
            .collect();
        gather(handlers).await.expect("no panic");
        assert_eq!(request.get(), None, "nothing leaks out");
    })?;
    let mut seen = seen.take();
    seen.sort();
    for line in &seen {
        println!("{line}");
    }
    let expected = ["callback", "child", "end", "step"];
    let expected = expected.iter().flat_map(|what| [format!("{what} of ann"), format!("{what} of bob")]);
    assert_eq!(seen, expected.collect::<Vec<_>>());
    Ok(())
}
