//! The cases, written once: each runtime's module says what spawning, sleeping and yielding are there.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Figures;

/// The process's CPU time.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

/// What is measured, and over how much of it.
pub(crate) struct Meter {
    started: Instant,
    cpu: Duration,
    resident: f64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), cpu: cpu(), resident: resident() }
    }

    /// Where the runtime is busy throughout.
    pub(crate) fn time(&self, operations: u32) -> Figures {
        let nanos_per_operation = self.started.elapsed().as_secs_f64() * 1e9 / f64::from(operations);
        Figures { nanos_per_operation, bytes_per_task: None }
    }

    /// Where it also waits.
    pub(crate) fn work(&self, operations: u32) -> Figures {
        let used = cpu().saturating_sub(self.cpu);
        let nanos_per_operation = used.as_secs_f64() * 1e9 / f64::from(operations);
        Figures { nanos_per_operation, bytes_per_task: None }
    }

    pub(crate) fn bytes_each(&self, tasks: u32) -> f64 {
        (resident() - self.resident) / f64::from(tasks)
    }
}

/// A number of operations, at least one.
pub(crate) fn scaled(scale: f64, count: u32) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are small and positive"
    )]
    let count = (f64::from(count) * scale) as u32;
    count.max(1)
}

/// Polls a future once and lets go of it.
pub(crate) async fn poll_once<F: Future>(future: F) {
    let mut future = Box::pin(future);
    std::future::poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending(), "it was to wait");
        Poll::Ready(())
    })
    .await;
}

/// Another thread that wakes whoever it is handed.
pub(crate) struct Alarm {
    bell: mpsc::Sender<(Waker, Arc<AtomicBool>)>,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        let (bell, orders) = mpsc::channel::<(Waker, Arc<AtomicBool>)>();
        std::thread::spawn(move || {
            for (waker, rung) in orders {
                rung.store(true, Ordering::Release);
                waker.wake();
            }
        });
        Self { bell }
    }

    /// Waits until the other thread has woken us.
    pub(crate) fn ring(&self) -> Ringing<'_> {
        Ringing { alarm: self, rung: None }
    }
}

pub(crate) struct Ringing<'a> {
    alarm: &'a Alarm,
    rung: Option<Arc<AtomicBool>>,
}

impl Future for Ringing<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<()> {
        match &self.rung {
            Some(rung) if rung.load(Ordering::Acquire) => Poll::Ready(()),
            Some(_) => Poll::Pending,
            None => {
                let rung = Arc::new(AtomicBool::new(false));
                self.rung = Some(Arc::clone(&rung));
                drop(self.alarm.bell.send((context.waker().clone(), rung)));
                Poll::Pending
            }
        }
    }
}

/// The cases of a runtime whose module has `block_on`, `spawn` (a future of the output), `sleep`, `yield_now`,
/// `in_thread` and `channel` (a pair with `send` and `receive`).
macro_rules! cases {
    () => {
        #[expect(clippy::too_many_lines, reason = "a list of cases, each a few lines")]
        fn case(name: &str, scale: f64) -> anyhow::Result<crate::Figures> {
            use crate::cases::{Alarm, Meter, poll_once, scaled};
            use std::time::Duration;

            Ok(match name {
                "spawn and join" => {
                    let count = scaled(scale, 1_000_000);
                    block_on(async move {
                        let meter = Meter::start();
                        for _ in 0..count {
                            spawn(async {}).await;
                        }
                        meter.time(count)
                    })
                }
                "spawn 1,000 and join" => {
                    let rounds = scaled(scale, 1_000);
                    block_on(async move {
                        let meter = Meter::start();
                        for _ in 0..rounds {
                            let tasks: Vec<_> = (0..1000).map(|_| spawn(async {})).collect();
                            for task in tasks {
                                task.await;
                            }
                        }
                        meter.time(rounds * 1000)
                    })
                }
                "yield x2" | "yield x100" => {
                    let tasks = if name == "yield x2" { 2 } else { 100 };
                    let count = scaled(scale, 5_000_000 / tasks);
                    block_on(async move {
                        let meter = Meter::start();
                        let workers: Vec<_> = (0..tasks)
                            .map(|_| {
                                spawn(async move {
                                    for _ in 0..count {
                                        yield_now().await;
                                    }
                                })
                            })
                            .collect();
                        for worker in workers {
                            worker.await;
                        }
                        meter.time(count * tasks)
                    })
                }
                "1,000,000 sleepers" => {
                    let count = scaled(scale, 1_000_000);
                    block_on(async move {
                        let meter = Meter::start();
                        let mut tasks = Vec::with_capacity(count as usize);
                        for _ in 0..count {
                            tasks.push(spawn(sleep(Duration::from_secs(3))));
                        }
                        // Behind all of them: each has begun to sleep then.
                        yield_now().await;
                        yield_now().await;
                        let bytes = meter.bytes_each(count);
                        for task in tasks {
                            task.await;
                        }
                        crate::Figures { bytes_per_task: Some(bytes), ..meter.work(count) }
                    })
                }
                "queue ping-pong" => {
                    let count = scaled(scale, 1_000_000);
                    block_on(async move {
                        let meter = Meter::start();
                        let (there, mut inbox) = channel();
                        let (back, mut answers) = channel();
                        let pong = spawn(async move {
                            for _ in 0..count {
                                let value = inbox.receive().await;
                                back.send(value).await;
                            }
                        });
                        for value in 0..count {
                            there.send(value).await;
                            assert_eq!(answers.receive().await, value);
                        }
                        pong.await;
                        meter.time(count)
                    })
                }
                "timer insert and cancel" => {
                    let count = scaled(scale, 1_000_000);
                    block_on(async move {
                        let meter = Meter::start();
                        for _ in 0..count {
                            poll_once(sleep(Duration::from_secs(60))).await;
                        }
                        meter.time(count)
                    })
                }
                // Within a millisecond: over a longer time a loop that never sleeps in between would look busy.
                "50,000 timers firing" => {
                    let count = scaled(scale, 50_000);
                    block_on(async move {
                        let meter = Meter::start();
                        // Later than all are asleep: some runtimes count from where a sleep is made, and would find that
                        // most are over before they are awaited.
                        let tasks: Vec<_> = (0..count)
                            .map(|n| u64::from(n) * 7919 % 1_000)
                            .map(|micros| spawn(sleep(Duration::from_micros(200_000 + micros))))
                            .collect();
                        for task in tasks {
                            task.await;
                        }
                        meter.work(count)
                    })
                }
                "wake-up from a thread" => {
                    let count = scaled(scale, 100_000);
                    block_on(async move {
                        let alarm = Alarm::new();
                        let meter = Meter::start();
                        for _ in 0..count {
                            alarm.ring().await;
                        }
                        meter.time(count)
                    })
                }
                "call in a thread" => {
                    let count = scaled(scale, 100_000);
                    block_on(async move {
                        let meter = Meter::start();
                        for n in 0..count {
                            assert_eq!(in_thread(move || n).await, n);
                        }
                        meter.time(count)
                    })
                }
                other => anyhow::bail!("no such case: {other}"),
            })
        }
    };
}

pub(crate) use cases;
