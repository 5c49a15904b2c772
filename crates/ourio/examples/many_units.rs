//! Scenario 1: a coroutine is a light unit of work. A million of them sleep at once on one thread.
//!
//! `cargo run --release -p ourio --example many_units [COUNT]`

use std::time::{Duration, Instant};

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u32 = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    let before = resident_kib();
    let started = Instant::now();
    let (total, peak) = ourio::run(async move {
        let tasks: Vec<_> = (0..count)
            .map(|number| {
                ourio::spawn(async move {
                    ourio::sleep(Duration::from_secs(1)).await;
                    u64::from(number)
                })
            })
            .collect();
        ourio::yield_now().await;
        ourio::yield_now().await;
        let peak = resident_kib();
        let mut total = 0;
        for task in tasks {
            total += task.await?;
        }
        Ok::<_, ourio::TaskError>((total, peak))
    })??;
    assert_eq!(total, u64::from(count) * u64::from(count - 1) / 2);
    let each = (peak - before) * 1024 / u64::from(count);
    println!("{count} coroutines slept for 1 s at once: {:.2?}, {each} bytes each", started.elapsed());
    Ok(())
}
