//! Scenario 15: 10,000 units that wait for 1 ms of I/O: as tasks and as threads, time and memory side by side.
//!
//! `cargo run --release -p ourio --example threads_against_tasks [COUNT]`

use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_millis(1);

fn high_water_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u32 = std::env::args().nth(1).map_or(Ok(10_000), |count| count.parse())?;
    let (before, began) = (high_water_kib(), Instant::now());
    let ended = ourio::run(async move {
        let tasks: Vec<_> = (0..count).map(|_| ourio::spawn(ourio::sleep(WAIT))).collect();
        ourio::gather(tasks).await.map(|ended| ended.len())
    })??;
    println!("{ended} tasks:   {:>10.2?}, {:>6} KiB", began.elapsed(), high_water_kib() - before);

    let (before, began) = (high_water_kib(), Instant::now());
    let threads: Vec<_> =
        (0..count).map(|_| std::thread::Builder::new().spawn(|| std::thread::sleep(WAIT))).collect();
    let mut ended = 0;
    // A machine may refuse so many; that is part of the picture.
    for thread in threads.into_iter().flatten() {
        thread.join().map_err(|_| "a thread panicked")?;
        ended += 1;
    }
    println!("{ended} threads: {:>10.2?}, {:>6} KiB", began.elapsed(), high_water_kib() - before);
    Ok(())
}
