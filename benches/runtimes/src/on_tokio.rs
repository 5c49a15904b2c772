//! tokio's current-thread runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::Figures;
use crate::cases::cases;
use crate::service::{BUFFER, Kind, hello};

cases!();

pub(crate) fn run(name: &str, scale: f64) -> Result<Figures> {
    case(name, scale)
}

/// Echoes, or answers HTTP, until it is killed; says its port first.
pub(crate) fn serve(kind: Kind) -> Result<()> {
    block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            match kind {
                Kind::Echo => drop(tokio::spawn(async move {
                    let mut buffer = vec![0; BUFFER];
                    while let Ok(got @ 1..) = stream.read(&mut buffer).await {
                        if stream.write_all(&buffer[..got]).await.is_err() {
                            break;
                        }
                    }
                })),
                Kind::Hello => drop(tokio::spawn(async move {
                    let stream = hyper_util::rt::TokioIo::new(stream);
                    drop(http1::Builder::new().serve_connection(stream, service_fn(hello)).await);
                })),
            }
        }
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Joined<T> {
    Joined(tokio::spawn(future))
}

/// A task whose result is its output, as the other runtimes have it.
struct Joined<T>(tokio::task::JoinHandle<T>);

impl<T: 'static> Future for Joined<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(context).map(|ended| ended.expect("it ends"))
    }
}

fn sleep(delay: Duration) -> impl Future<Output = ()> + Send {
    tokio::time::sleep(delay)
}

async fn in_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(call).await.expect("it ends")
}

fn yield_now() -> impl Future<Output = ()> + Send {
    tokio::task::yield_now()
}

struct Sender(mpsc::Sender<u32>);
struct Receiver(mpsc::Receiver<u32>);

fn channel() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel(1);
    (Sender(sender), Receiver(receiver))
}

impl Sender {
    async fn send(&self, value: u32) {
        self.0.send(value).await.expect("somebody receives");
    }
}

impl Receiver {
    async fn receive(&mut self) -> u32 {
        self.0.recv().await.expect("somebody sends")
    }
}
