//! Scenario 2: a coroutine that yields, is primed, and receives what is sent in; `send`, `throw`, `close`.

use ourio::{Coroutine, CoroutineState, Resumed, Yielder};

fn main() {
    // A running average: gives the average so far, receives the next number, and starts over on an error.
    let mut average = Coroutine::new(|yielder: Yielder<f64, f64>| async move {
        let (mut total, mut count) = (0.0, 0.0);
        let mut current = 0.0;
        loop {
            match yielder.put(current).await {
                Ok(number) => (total, count) = (total + number, count + 1.0),
                Err(reason) => {
                    println!("starts over: {reason}");
                    (total, count) = (0.0, 0.0);
                }
            }
            current = if count == 0.0 { 0.0 } else { total / count };
        }
    });
    // Unlike a Python generator's, its type says that nothing can be sent before it is primed.
    assert_eq!(average.send(1.0), Resumed::<f64, ()>::NotStarted);
    assert_eq!(average.start(), Resumed::Yielded(0.0));
    for (number, expected) in [(10.0, 10.0), (20.0, 15.0), (30.0, 20.0)] {
        let resumed = average.send(number);
        println!("sent {number}, got {resumed:?}");
        assert_eq!(resumed, Resumed::Yielded(expected));
    }
    assert_eq!(average.throw("a new series"), Resumed::Yielded(0.0));
    average.close();
    assert_eq!((average.state(), average.send(1.0)), (CoroutineState::Closed, Resumed::Closed));

    let squares = Coroutine::new(|yielder: Yielder<u32, ()>| async move {
        for number in 1..=5 {
            if yielder.put(number * number).await.is_err() {
                return;
            }
        }
    });
    let squares: Vec<_> = squares.collect();
    println!("as an iterator: {squares:?}");
    assert_eq!(squares, [1, 4, 9, 16, 25]);
}
