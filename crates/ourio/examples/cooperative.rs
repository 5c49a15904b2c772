//! Scenario 11: cooperative scheduling: workers that yield interleave strictly.

use std::cell::RefCell;
use std::rc::Rc;

fn main() -> Result<(), ourio::Error> {
    let order = Rc::new(RefCell::new(Vec::new()));
    let inside = Rc::clone(&order);
    ourio::run(async move {
        let workers = ["a", "b", "c"].map(|name| {
            let order = Rc::clone(&inside);
            ourio::spawn(async move {
                for step in 0..3 {
                    order.borrow_mut().push(format!("{name}{step}"));
                    ourio::yield_now().await;
                }
            })
        });
        ourio::gather(Vec::from(workers)).await.expect("nobody panics");
    })?;
    println!("{}", order.borrow().join(" "));
    assert_eq!(order.borrow().join(" "), "a0 b0 c0 a1 b1 c1 a2 b2 c2");
    Ok(())
}
