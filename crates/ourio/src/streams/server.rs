//! `Server`: accepts connections, and runs a task for each.

use std::future::Future as StdFuture;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use super::reader::StreamReader;
use super::writer::StreamWriter;
use crate::net::{TcpListener, ToAddresses, UnixListener};
use crate::task::{Task, spawn, spawn_named};
use crate::time::sleep;

/// A server: accepts connections, and runs a task for each. asyncio: `asyncio.Server`.
///
/// Dropping it stops the accepting; connections go on.
#[derive(Debug)]
pub struct Server {
    accepting: Task<()>,
    address: Option<SocketAddr>,
}

/// After this long a server that is out of descriptors tries again. asyncio: `ACCEPT_RETRY_DELAY`.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Serves a TCP address: each connection is handled by a task. asyncio: `asyncio.start_server`.
///
/// Out of descriptors, it waits for a second and goes on.
///
/// # Errors
///
/// The resolver's or the kernel's, such as `AddrInUse`.
pub async fn start_server<F: StdFuture<Output = ()> + 'static>(
    address: impl ToAddresses,
    mut handler: impl FnMut(StreamReader, StreamWriter) -> F + 'static,
) -> io::Result<Server> {
    let listener = TcpListener::bind(address).await?;
    let address = Some(listener.local_addr()?);
    let accepting = spawn_named("server", async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // A connection that is gone already says so when it is read.
                    drop(stream.set_nodelay(true));
                    let (reader, writer) = stream.into();
                    spawn(handler(reader, writer)).detach();
                }
                Err(error) => pause(&error).await,
            }
        }
    });
    Ok(Server { accepting, address })
}

/// Serves a Unix socket. asyncio: `asyncio.start_unix_server`.
///
/// # Errors
///
/// The kernel's, such as `AddrInUse` if the path exists.
pub async fn start_unix_server<F: StdFuture<Output = ()> + 'static>(
    path: impl AsRef<Path>,
    mut handler: impl FnMut(StreamReader, StreamWriter) -> F + 'static,
) -> io::Result<Server> {
    let listener = UnixListener::bind(path)?;
    let accepting = spawn_named("server", async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (reader, writer) = stream.into();
                    spawn(handler(reader, writer)).detach();
                }
                Err(error) => pause(&error).await,
            }
        }
    });
    Ok(Server { accepting, address: None })
}

/// A connection that was gone before it was accepted is nothing; out of descriptors is worth a wait.
async fn pause(error: &io::Error) {
    let passing = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    if !passing.contains(&error.kind()) {
        eprintln!("ourio: a server cannot accept, and tries again in {ACCEPT_RETRY_DELAY:?}: {error}");
        sleep(ACCEPT_RETRY_DELAY).await;
    }
}

impl Server {
    /// The address that it serves, if it is one of TCP.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Stops accepting.
    pub fn close(&self) {
        self.accepting.cancel();
    }

    /// Whether it accepts.
    pub fn is_serving(&self) -> bool {
        !self.accepting.done()
    }

    /// Serves until it is closed from elsewhere, or what awaits this is dropped.
    pub async fn serve_forever(mut self) {
        // A server's task ends by being cancelled only.
        drop(poll_fn(|context| Pin::new(&mut self.accepting).poll(context)).await);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}
