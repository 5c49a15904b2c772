//! Scenario 8: two tasks overlap. Sleeps of 1 s and 0.5 s that start together end after 1 s, in the right order.
//!
//! In virtual time, so that it takes none; `--real` waits.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

async fn both(order: Rc<RefCell<Vec<&'static str>>>) -> Duration {
    let began = ourio::time();
    let sleeper = |name: &'static str, time: Duration| {
        let order = Rc::clone(&order);
        ourio::spawn(async move {
            ourio::sleep(time).await;
            println!("{name} ends after {:?}", ourio::time().saturating_sub(began));
            order.borrow_mut().push(name);
        })
    };
    let slow = sleeper("the slow one", Duration::from_secs(1));
    let fast = sleeper("the fast one", Duration::from_millis(500));
    ourio::gather((slow, fast)).await.expect("neither panics");
    ourio::time().saturating_sub(began)
}

fn main() -> Result<(), ourio::Error> {
    let order = Rc::default();
    let program = both(Rc::clone(&order));
    let real = std::env::args().any(|argument| argument == "--real");
    let took = if real { ourio::run(program)? } else { ourio::testing::run(program)? };
    assert!(took >= Duration::from_secs(1) && took < Duration::from_millis(1500));
    assert_eq!(*order.borrow(), ["the fast one", "the slow one"]);
    Ok(())
}
