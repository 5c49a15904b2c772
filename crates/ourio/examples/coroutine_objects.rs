//! Scenario 3: calling an `async fn` makes an object, and nothing runs yet. It can be looked at; one that is dropped
//! without being awaited has done nothing, which the compiler warns of.

use std::cell::Cell;
use std::rc::Rc;

use ourio::{Coroutine, CoroutineState, Resumed, Yielder};

async fn add(log: Rc<Cell<u32>>) -> u32 {
    log.set(log.get() + 1);
    std::future::ready(log.get()).await
}

fn main() -> Result<(), ourio::Error> {
    let runs = Rc::new(Cell::new(0));
    let object = add(Rc::clone(&runs));
    println!("a coroutine object of {} bytes; it has run {} times", size_of_val(&object), runs.get());
    assert_eq!(runs.get(), 0);
    assert_eq!(ourio::run(object)?, 1);

    let forgotten = add(Rc::clone(&runs));
    drop(forgotten);
    println!("after one was dropped unawaited: still {}", runs.get());
    assert_eq!(runs.get(), 1);

    let mut driven = Coroutine::new(move |_: Yielder<(), ()>| add(runs));
    println!("made: {:?}", driven.state());
    assert_eq!(driven.state(), CoroutineState::Created);
    assert_eq!(driven.start(), Resumed::Returned(2));
    println!("driven: {:?}", driven.state());
    Ok(())
}
