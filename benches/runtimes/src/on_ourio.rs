//! The crate `ourio`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::Figures;
use crate::cases::cases;
use crate::service::{BUFFER, Kind, hello};

cases!();

pub(crate) fn run(name: &str, scale: f64) -> Result<Figures> {
    case(name, scale)
}

/// Echoes, or answers HTTP, until it is killed; says its port first.
pub(crate) fn serve(kind: Kind) -> Result<()> {
    ourio::run(async {
        let listener = ourio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            match kind {
                Kind::Echo => ourio::spawn(async move {
                    let mut buffer = vec![0; BUFFER];
                    while let Ok(got @ 1..) = stream.read(&mut buffer).await {
                        if stream.write_all(&buffer[..got]).await.is_err() {
                            break;
                        }
                    }
                })
                .detach(),
                Kind::Hello => ourio::spawn(async move {
                    // A client that goes away is no failure of the server.
                    drop(http1::Builder::new().serve_connection(stream, service_fn(hello)).await);
                })
                .detach(),
            }
        }
    })?
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    ourio::run(future).expect("a loop")
}

fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Joined<T> {
    Joined(ourio::spawn(future))
}

/// A task whose result is its output, as the other runtimes have it.
struct Joined<T>(ourio::Task<T>);

impl<T: 'static> Future for Joined<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(context).map(|ended| ended.expect("it ends"))
    }
}

fn sleep(delay: Duration) -> impl Future<Output = ()> {
    ourio::sleep(delay)
}

async fn in_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    ourio::to_thread(call).await.expect("it ends")
}

fn yield_now() -> impl Future<Output = ()> {
    ourio::yield_now()
}

struct Sender(ourio::sync::Queue<u32>);
struct Receiver(ourio::sync::Queue<u32>);

fn channel() -> (Sender, Receiver) {
    let queue = ourio::sync::Queue::new(1);
    (Sender(queue.clone()), Receiver(queue))
}

impl Sender {
    async fn send(&self, value: u32) {
        self.0.put(value).await.expect("it is open");
    }
}

impl Receiver {
    async fn receive(&mut self) -> u32 {
        self.0.get().await.expect("it is open")
    }
}
