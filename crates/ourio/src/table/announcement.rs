//! One flag between the threads that wake a task and the loop that runs it: so that a task which is woken a thousand
//! times before the loop looks is in the loop's inbox once.
//!
//! Both sides change it by a read-modify-write. Whichever is second sees what the first did before: either the loop,
//! when it polls the task, sees what the waker's thread has written, or the waker's thread announces the task again.
//! With a plain store on the loop's side both could miss the other (`cargo xtask test` tries every interleaving with
//! loom).

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
pub(crate) struct Announcement {
    announced: AtomicBool,
}

impl Announcement {
    pub(crate) fn new() -> Self {
        Self { announced: AtomicBool::new(false) }
    }

    /// Whether it is this thread that must tell the loop.
    pub(crate) fn announce(&self) -> bool {
        !self.announced.swap(true, Ordering::AcqRel)
    }

    /// The loop has been told, and looks now.
    pub(crate) fn arrived(&self) {
        self.announced.swap(false, Ordering::AcqRel);
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::sync::Arc;
    use loom::sync::Mutex;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    /// Two threads write and wake; the loop looks at each announcement. When all are still it has seen both.
    #[test]
    fn no_wake_up_is_lost_and_none_is_announced_twice_at_a_time() {
        loom::model(|| {
            let announcement = Arc::new(Announcement::new());
            let inbox = Arc::new(Mutex::new(0));
            let written = Arc::new(AtomicUsize::new(0));
            let wakers: Vec<_> = (0..2)
                .map(|_| {
                    let (announcement, inbox, written) =
                        (Arc::clone(&announcement), Arc::clone(&inbox), Arc::clone(&written));
                    thread::spawn(move || {
                        // As a program's data would be: nothing but the announcement orders it.
                        written.fetch_add(1, Ordering::Relaxed);
                        if announcement.announce() {
                            *inbox.lock().expect("no panic") += 1;
                        }
                    })
                })
                .collect();
            let mut seen = 0;
            let look = |seen: &mut usize| {
                let told = std::mem::take(&mut *inbox.lock().expect("no panic"));
                assert!(told <= 1, "announced twice at a time");
                if told == 1 {
                    announcement.arrived();
                    *seen = written.load(Ordering::Relaxed);
                }
            };
            look(&mut seen);
            for waker in wakers {
                waker.join().expect("no panic");
            }
            look(&mut seen);
            assert_eq!(seen, 2);
        });
    }
}
