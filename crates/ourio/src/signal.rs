//! Signals: as callbacks of a loop, and as something to await.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::task::Poll;

use crate::error::{Error, Result};
use crate::scheduling::running;
use crate::scheduling::{Inner, contain};
use crate::waiters::{Waiter, Waits};

pub use signals::*;

/// The signals that programs most often care about, by their numbers on Linux.
mod signals {
    /// The terminal is gone, or: read your configuration again.
    pub const SIGHUP: i32 = 1;
    /// Control-C.
    pub const SIGINT: i32 = 2;
    /// For the program's own use.
    pub const SIGUSR1: i32 = 10;
    /// For the program's own use.
    pub const SIGUSR2: i32 = 12;
    /// Please end.
    pub const SIGTERM: i32 = 15;
    /// The terminal has another size.
    pub const SIGWINCH: i32 = 28;
}

type Handler = Rc<RefCell<Box<dyn FnMut()>>>;

/// Who wants to know of a signal.
#[derive(Default)]
pub(crate) struct Listeners {
    handler: Option<Handler>,
    signals: Vec<Weak<Arrivals>>,
}

#[derive(Default)]
struct Arrivals {
    count: Cell<u64>,
    waiter: RefCell<Option<Waiter>>,
}

/// Receives a signal for as long as it lives. asyncio has only the callback: `loop.add_signal_handler`.
///
/// What the signal does otherwise (as control-C ends a program) it does no more, for the rest of the process.
pub struct Signal {
    number: i32,
    arrivals: Rc<Arrivals>,
    inner: Rc<Inner>,
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Listens to a signal, on the loop that runs in this thread.
///
/// ```
/// use std::time::Duration;
/// use ourio::signal;
///
/// let stopped = ourio::run(async {
///     let mut terminate = signal::listen(signal::SIGTERM)?;
///     # std::process::Command::new("kill").arg(std::process::id().to_string()).status().expect("kill");
///     ourio::timeout(Duration::from_secs(10), terminate.recv()).await.expect("in time");
///     Ok::<_, ourio::Error>("gracefully")
/// })??;
/// assert_eq!(stopped, "gracefully");
/// # Ok::<(), ourio::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::System`] for a signal that cannot be caught.
///
/// # Panics
///
/// If no loop runs in this thread.
#[track_caller]
pub fn listen(signal: i32) -> Result<Signal> {
    let inner = running::expect();
    inner.listen(signal)?;
    let arrivals = Rc::new(Arrivals::default());
    inner.signals.borrow_mut().entry(signal).or_default().signals.push(Rc::downgrade(&arrivals));
    Ok(Signal { number: signal, arrivals, inner })
}

/// Waits for control-C, once.
///
/// # Errors
///
/// [`Error::System`] if the process is out of descriptors.
pub async fn ctrl_c() -> Result<()> {
    listen(SIGINT)?.recv().await;
    Ok(())
}

impl Signal {
    /// Waits for the signal's next arrival. Those that came while nobody waited count; several of them may be one.
    pub async fn recv(&mut self) {
        std::future::poll_fn(|context| {
            let count = self.arrivals.count.get();
            if count > 0 {
                self.arrivals.count.set(count - 1);
                return Poll::Ready(());
            }
            let before = self.arrivals.waiter.replace(Some(Waiter::of(context, || Waits::Signal)));
            drop(before);
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        let own = Rc::downgrade(&self.arrivals);
        self.inner
            .forget_listener(self.number, |listeners| listeners.signals.retain(|known| !known.ptr_eq(&own)));
    }
}

impl Inner {
    fn listen(&self, signal: i32) -> Result<()> {
        let mut engine = self.engine.borrow_mut();
        engine.signals().and_then(|pipe| pipe.listen(signal)).map_err(Error::System)
    }

    pub(crate) fn set_signal_handler(&self, signal: i32, handler: Box<dyn FnMut()>) -> Result<()> {
        self.listen(signal)?;
        let handler = Rc::new(RefCell::new(handler));
        let before = self.signals.borrow_mut().entry(signal).or_default().handler.replace(handler);
        drop(before);
        Ok(())
    }

    pub(crate) fn remove_signal_handler(&self, signal: i32) -> bool {
        let mut removed = None;
        self.forget_listener(signal, |listeners| removed = listeners.handler.take());
        removed.is_some()
    }

    fn forget_listener(&self, signal: i32, forget: impl FnOnce(&mut Listeners)) {
        let mut signals = self.signals.borrow_mut();
        let Some(listeners) = signals.get_mut(&signal) else { return };
        forget(listeners);
        if listeners.handler.is_none() && listeners.signals.is_empty() {
            let gone = signals.remove(&signal);
            drop(signals);
            drop(gone);
            if let Ok(pipe) = self.engine.borrow_mut().signals() {
                pipe.stop_listening(signal);
            }
        }
    }

    pub(crate) fn deliver_signal(&self, number: i32) {
        let (handler, arrivals) = match self.signals.borrow().get(&number) {
            None => return,
            Some(listeners) => {
                let arrivals: Vec<_> = listeners.signals.iter().filter_map(Weak::upgrade).collect();
                (listeners.handler.clone(), arrivals)
            }
        };
        for arrivals in arrivals {
            arrivals.count.set(arrivals.count.get() + 1);
            let waiter = arrivals.waiter.take();
            if let Some(waiter) = waiter {
                waiter.wake();
            }
        }
        if let Some(handler) = handler {
            contain(|| {
                if let Ok(mut handler) = handler.try_borrow_mut() {
                    handler();
                }
            });
        }
    }
}
