//! hyper's runtime traits, so that its servers and clients run on a loop (feature `hyper`).
//!
//! A connection is itself what hyper reads and writes; futures that hyper wants to go on by themselves are spawned by
//! [`Executor`], its timeouts are kept by [`Timer`].

use std::future::Future as StdFuture;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{self, ReadBufCursor};

use crate::insight::TaskInfo;
use crate::net::{TcpStream, UnixStream};
use crate::reactor::running;
use crate::task::spawn;
use crate::time::{Sleep, sleep};

/// What is read at once at most: hyper's own buffers begin with less.
const SCRATCH: usize = 64 * 1024;

macro_rules! connection {
    ($type:ty) => {
        impl rt::Read for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                mut cursor: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                // hyper's memory is not initialised, and this crate has no `unsafe`: a copy from the loop's own.
                let reactor = running::expect();
                let mut scratch = reactor.scratch.borrow_mut();
                scratch.resize(SCRATCH, 0);
                let room = cursor.remaining().min(SCRATCH);
                let got = ready!(self.poll_read_from(context, &mut scratch[..room]))?;
                cursor.put_slice(&scratch[..got]);
                Poll::Ready(Ok(()))
            }
        }

        impl rt::Write for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.poll_write_to(context, data)
            }

            fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.shutdown(Shutdown::Write) {
                    // The peer was faster.
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
                    done => Poll::Ready(done),
                }
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                parts: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.poll_write_vectored_to(context, parts)
            }
        }
    };
}

connection!(TcpStream);
connection!(UnixStream);

/// Spawns what hyper wants to go on by itself as tasks of the loop that runs; they need not be `Send`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Executor;

impl<F> rt::Executor<F> for Executor
where
    F: StdFuture + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        spawn(future).detach();
    }
}

/// Keeps hyper's timeouts by the loop's clock.
///
/// hyper asks for futures that are `Send`, which nothing of a loop is: each timeout is a task, which wakes whoever
/// waits for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Nap::new(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Nap::new(deadline.saturating_duration_since(Instant::now())))
    }
}

/// A sleep that may be held by any thread.
struct Nap {
    task: TaskInfo,
    state: std::sync::Arc<std::sync::Mutex<NapState>>,
}

#[derive(Default)]
struct NapState {
    over: bool,
    waker: Option<std::task::Waker>,
}

fn lock(state: &std::sync::Mutex<NapState>) -> std::sync::MutexGuard<'_, NapState> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Nap {
    fn new(duration: Duration) -> Self {
        let state = std::sync::Arc::<std::sync::Mutex<NapState>>::default();
        let own = std::sync::Arc::clone(&state);
        let sleep: Sleep = sleep(duration);
        let task = spawn(async move {
            sleep.await;
            let mut state = lock(&own);
            state.over = true;
            let waker = state.waker.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        Self { task: task.info(), state }
    }
}

impl StdFuture for Nap {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.over {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        self.task.cancel();
    }
}

impl rt::Sleep for Nap {}
