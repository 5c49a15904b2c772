//! Scenario 6: a loop's life. `run` makes one, runs, drops what is left, closes; a closed loop refuses work; one loop
//! runs per thread; loops in several threads.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ourio::{Error, EventLoop};

struct Ended(Rc<Cell<bool>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

fn main() -> Result<(), Error> {
    let ended = Rc::new(Cell::new(false));
    let guard = Ended(Rc::clone(&ended));
    ourio::run(async move {
        ourio::spawn(async move {
            let _guard = guard;
            ourio::sleep(Duration::from_secs(3600)).await;
        })
        .detach();
        ourio::yield_now().await;
        let nested = ourio::run(async {});
        println!("a nested run: {}", nested.as_ref().expect_err("one loop per thread"));
        assert!(matches!(nested, Err(Error::Running)));
    })?;
    println!("what was left when it ended was dropped: {}", ended.get());
    assert!(ended.get());

    let event_loop = EventLoop::new()?;
    drop(event_loop.call_later(Duration::from_millis(1), || println!("called later")));
    event_loop.run_until_complete(ourio::sleep(Duration::from_millis(3)))?;
    event_loop.close()?;
    let refused = event_loop.run_until_complete(async {});
    println!("a closed loop: {}", refused.expect_err("it is closed"));
    assert!(event_loop.spawn(async {}).cancelled());

    let threads: Vec<_> = (0..4u64)
        .map(|number| {
            std::thread::spawn(move || ourio::run(async move { ourio::spawn(async move { number }).await }))
        })
        .collect();
    let numbers: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
    println!("loops in four threads: {numbers:?}");
    assert!(numbers.into_iter().zip(0..).all(|(got, number)| matches!(got, Ok(Ok(got)) if got == number)));
    Ok(())
}
