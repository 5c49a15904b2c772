//! Scenario 7: the loop's inside. What descriptors report comes first in a turn, then due timers, then what was ready,
//! first in, first out; timers by their deadlines, ties in the order of their creation.

use std::cell::RefCell;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use ourio::EventLoop;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let event_loop = EventLoop::new()?;
    let order: Rc<RefCell<Vec<&str>>> = Rc::default();
    let say = |what: &'static str| {
        let order = Rc::clone(&order);
        move || {
            println!("{what}");
            order.borrow_mut().push(what);
        }
    };
    let (watched, mut other) = UnixStream::pair()?;
    let read = say("a descriptor");
    let mut read_once = Some(watched.try_clone()?);
    event_loop.add_reader(&watched, move || {
        if let Some(mut stream) = read_once.take() {
            let mut byte = [0];
            drop(std::io::Read::read(&mut stream, &mut byte));
            read();
        }
    })?;
    other.write_all(b"x")?;
    drop(event_loop.call_later(Duration::from_millis(20), say("the later timer")));
    drop(event_loop.call_later(Duration::from_millis(10), say("the earlier timer")));
    drop(event_loop.call_later(Duration::ZERO, say("a due timer")));
    drop(event_loop.call_soon(say("ready first")));
    let again = say("scheduled by a callback: the next turn");
    let soon = Rc::clone(&order);
    drop(event_loop.call_soon(move || {
        println!("ready second");
        soon.borrow_mut().push("ready second");
        drop(ourio::call_soon(again));
    }));
    event_loop.run_until_complete(ourio::sleep(Duration::from_millis(30)))?;
    // What was scheduled before the loop began is ahead of what the first turn finds.
    assert_eq!(
        *order.borrow(),
        [
            "ready first",
            "ready second",
            "a descriptor",
            "a due timer",
            "scheduled by a callback: the next turn",
            "the earlier timer",
            "the later timer",
        ]
    );
    Ok(())
}
