//! Scenario 23: mixing models: the loop for I/O, threads for an old blocking library and for work on the CPU, processes,
//! in one program.

use std::time::Duration;

use ourio::process::Command;
use ourio::{gather, sleep, spawn, to_thread};

/// As an old library would do it.
fn blocking_query(number: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(20));
    number * 2
}

fn count_primes(below: u64) -> usize {
    let is_prime = |number: &u64| (2..=number.isqrt()).all(|d| !number.is_multiple_of(d));
    (2..below).filter(is_prime).count()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    ourio::run(async {
        let ticking = spawn(async {
            for ticks in 1.. {
                sleep(Duration::from_millis(5)).await;
                if ticks % 5 == 0 {
                    println!("the loop goes on: {ticks} ticks");
                }
            }
        });
        let queries: Vec<_> = (0..8).map(|number| spawn(to_thread(move || blocking_query(number)))).collect();
        let primes = spawn(to_thread(|| count_primes(20_000)));
        let sorted = spawn(async {
            let sort =
                Command::new("sort").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
            let mut sort = sort;
            sort.spawn()?.communicate(b"pear\napple\nfig\n").await
        });
        let mut answers = Vec::new();
        for answer in gather(queries).await? {
            answers.push(answer?);
        }
        println!("threads: {answers:?}");
        assert_eq!(answers, [0, 2, 4, 6, 8, 10, 12, 14]);
        println!("primes below 20,000: {}", primes.await??);
        println!("a process: {:?}", String::from_utf8_lossy(&sorted.await??.stdout));
        ticking.cancel();
        Ok(())
    })?
}
