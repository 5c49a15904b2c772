//! monoio, on epoll ("legacy") and on io_uring.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use monoio::blocking::{DefaultThreadPool, ThreadPool};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};

use crate::Figures;
use crate::cases::cases;
use crate::queue::channel;
use crate::service::{BUFFER, Kind};

cases!();

/// How monoio talks to the kernel.
#[derive(Clone, Copy)]
pub(crate) enum Driver {
    Epoll,
    Uring,
}

thread_local! {
    static DRIVER: Cell<Driver> = const { Cell::new(Driver::Epoll) };
}

pub(crate) fn run(name: &str, scale: f64, driver: Driver) -> Result<Figures> {
    DRIVER.set(driver);
    case(name, scale)
}

/// Echoes until it is killed; says its port first.
pub(crate) fn serve(kind: Kind, driver: Driver) -> Result<()> {
    anyhow::ensure!(kind == Kind::Echo, "no hyper here");
    DRIVER.set(driver);
    block_on(async {
        let listener = monoio::net::TcpListener::bind("127.0.0.1:0")?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            monoio::spawn(async move {
                let mut buffer = vec![0; BUFFER];
                loop {
                    let (got, back) = stream.read(buffer).await;
                    buffer = back;
                    let Ok(got @ 1..) = got else { break };
                    buffer.truncate(got);
                    let (written, back) = stream.write_all(buffer).await;
                    buffer = back;
                    buffer.resize(BUFFER, 0);
                    if written.is_err() {
                        break;
                    }
                }
            });
        }
    })
}

/// It starts them at once: as few as the other runtimes need for one call at a time.
fn threads() -> Box<dyn ThreadPool + Send> {
    Box::new(DefaultThreadPool::new(1))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    match DRIVER.get() {
        Driver::Epoll => {
            let runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new()
                .enable_timer()
                .attach_thread_pool(threads())
                .build();
            runtime.expect("a runtime").block_on(future)
        }
        Driver::Uring => {
            let runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
                .enable_timer()
                .attach_thread_pool(threads())
                .build();
            runtime.expect("a runtime").block_on(future)
        }
    }
}

fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> impl Future<Output = T> {
    monoio::spawn(future)
}

fn sleep(delay: Duration) -> impl Future<Output = ()> {
    monoio::time::sleep(delay)
}

async fn in_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    monoio::spawn_blocking(call).await.expect("it ends")
}

fn yield_now() -> impl Future<Output = ()> {
    futures_lite::future::yield_now()
}
