//! smol: `async-executor` for one thread, `async-io` for timers and descriptors.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use async_executor::LocalExecutor;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::Figures;
use crate::cases::cases;
use crate::queue::channel;
use crate::service::{BUFFER, Kind};

cases!();

pub(crate) fn run(name: &str, scale: f64) -> Result<Figures> {
    case(name, scale)
}

thread_local! {
    static EXECUTOR: RefCell<Rc<LocalExecutor<'static>>> = RefCell::default();
}

fn executor() -> Rc<LocalExecutor<'static>> {
    EXECUTOR.with_borrow(Rc::clone)
}

/// Echoes until it is killed; says its port first.
pub(crate) fn serve(kind: Kind) -> Result<()> {
    anyhow::ensure!(kind == Kind::Echo, "no hyper here");
    block_on(async {
        let listener = async_io::Async::<std::net::TcpListener>::bind(([127, 0, 0, 1], 0))?;
        println!("{}", listener.get_ref().local_addr()?.port());
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.get_ref().set_nodelay(true)?;
            EXECUTOR.with_borrow(|executor| {
                executor
                    .spawn(async move {
                        let mut buffer = vec![0; BUFFER];
                        while let Ok(got @ 1..) = stream.read(&mut buffer).await {
                            if stream.write_all(&buffer[..got]).await.is_err() {
                                break;
                            }
                        }
                    })
                    .detach();
            });
        }
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    async_io::block_on(executor().run(future))
}

fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> impl Future<Output = T> {
    EXECUTOR.with_borrow(|executor| executor.spawn(future))
}

fn sleep(delay: Duration) -> impl Future<Output = ()> {
    let timer = async_io::Timer::after(delay);
    async {
        timer.await;
    }
}

fn in_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> {
    blocking::unblock(call)
}

fn yield_now() -> impl Future<Output = ()> {
    futures_lite::future::yield_now()
}
