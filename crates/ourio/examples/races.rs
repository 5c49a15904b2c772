//! Virtual time and seeds: a race is found among a hundred orders, and replayed from the seed that is printed.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ourio::testing::explore;

/// Two deposits read the balance, wait for the bank, and write. In asyncio's own order they never meet.
async fn deposits() {
    let balance = Rc::new(Cell::new(0));
    let deposit = |amount: u32, delay: u64| {
        let balance = Rc::clone(&balance);
        ourio::spawn(async move {
            ourio::sleep(Duration::from_secs(delay)).await;
            let before = balance.get();
            if before == 0 && amount == 2 {
                // Only when it comes first does this one look twice.
                ourio::yield_now().await;
            }
            balance.set(before + amount);
        })
    };
    ourio::gather((deposit(1, 3600), deposit(2, 3600))).await.expect("no panic");
    assert_eq!(balance.get(), 3, "a deposit is lost");
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    ourio::testing::run(deposits()).expect("asyncio's order hides it");
    let failure = explore(0..100, deposits).expect_err("some order shows it");
    println!("{failure}");
    for _ in 0..3 {
        let again = explore(failure.seed..failure.seed + 1, deposits).expect_err("every time");
        assert_eq!(again.to_string(), failure.to_string());
    }
    println!("replayed three times");
}
