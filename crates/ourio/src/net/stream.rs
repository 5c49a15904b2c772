//! Connections and those who accept them.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::address::ToAddresses;
use super::socket::{family, first, socket, wrapper};
use crate::reactor::{Evented, Side, write_all};

/// How many connections may wait to be accepted; what the kernel allows is the limit.
const BACKLOG: i32 = 4096;

/// Waits until a connection that is under way stands, or does not.
async fn connected<S: AsFd>(evented: &Evented<S>) -> io::Result<()> {
    evented.readiness(Side::Write).await?;
    Ok(sockopt::socket_error(evented.io().as_fd())??)
}

fn is_under_way(begun: Result<(), rustix::io::Errno>) -> io::Result<bool> {
    match begun {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::INPROGRESS) => Ok(true),
        Err(refused) => Err(refused.into()),
    }
}

/// A TCP connection.
///
/// Dropping it closes it; what the kernel has accepted is still sent.
pub struct TcpStream {
    evented: Evented<std::net::TcpStream>,
}

/// A connection over a Unix socket.
pub struct UnixStream {
    evented: Evented<std::os::unix::net::UnixStream>,
}

macro_rules! connection {
    ($type:ident, $std:ty, $address:ty) => {
        wrapper!($type, $std);

        impl $type {
            /// Reads what there is, at most as much as the buffer holds, and waits for it; zero is the end.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                poll_fn(|context| self.poll_read_from(context, buffer)).await
            }

            /// Writes what the kernel takes, and waits until it takes something.
            ///
            /// # Errors
            ///
            /// The kernel's; `BrokenPipe` once the peer is gone.
            pub async fn write(&self, data: &[u8]) -> io::Result<usize> {
                poll_fn(|context| self.poll_write_to(context, data)).await
            }

            /// Writes everything.
            ///
            /// # Errors
            ///
            /// As `write`; a part may have been written.
            pub async fn write_all(&self, data: &[u8]) -> io::Result<()> {
                write_all(data, |context, data| self.poll_write_to(context, data)).await
            }

            /// Fills the buffer.
            ///
            /// # Errors
            ///
            /// As `read`; `UnexpectedEof` if the end comes first, what came before is in the buffer.
            pub async fn read_exact(&self, mut buffer: &mut [u8]) -> io::Result<()> {
                while !buffer.is_empty() {
                    match self.read(buffer).await? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        got => buffer = &mut buffer[got..],
                    }
                }
                Ok(())
            }

            /// Ends reading, writing or both: the peer sees the end.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.evented.io().shutdown(how)
            }

            /// Its own address.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn local_addr(&self) -> io::Result<$address> {
                self.evented.io().local_addr()
            }

            /// The peer's address.
            ///
            /// # Errors
            ///
            /// The kernel's; `NotConnected` once the peer has reset the connection.
            pub fn peer_addr(&self) -> io::Result<$address> {
                self.evented.io().peer_addr()
            }

            pub(crate) fn poll_read_from(
                &self,
                context: &Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.evented.poll_read(context, buffer, |mut std, buffer| std.read(buffer))
            }

            pub(crate) fn poll_write_to(
                &self,
                context: &Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.evented.poll_write(context, data, |mut std, data| std.write(data))
            }

            pub(crate) fn poll_write_vectored_to(
                &self,
                context: &Context<'_>,
                parts: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.evented.poll_io(Side::Write, context, |mut std| std.write_vectored(parts))
            }
        }

        futures_io!($type);
        futures_io!(&$type);
    };
}

/// The ecosystem's traits, for a connection and for a reference to one.
macro_rules! futures_io {
    ($type:ty) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.poll_read_from(context, buffer)
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.poll_write_to(context, data)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                parts: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.poll_write_vectored_to(context, parts)
            }

            fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.shutdown(Shutdown::Write))
            }
        }
    };
}

connection!(TcpStream, std::net::TcpStream, SocketAddr);
connection!(UnixStream, std::os::unix::net::UnixStream, UnixAddr);

impl TcpStream {
    /// Connects; a name's addresses are tried one after another.
    ///
    /// asyncio: `TCP_NODELAY` is set, as its transports do.
    ///
    /// # Errors
    ///
    /// The resolver's or the kernel's; the last address's, if all refuse.
    pub async fn connect(address: impl ToAddresses) -> io::Result<Self> {
        first(address, async |address| Self::connect_to(address).await).await
    }

    async fn connect_to(address: SocketAddr) -> io::Result<Self> {
        let fd = socket(family(&address), SocketType::STREAM)?;
        let waits = is_under_way(rustix::net::connect(&fd, &address))?;
        let stream = Self { evented: Evented::new(fd.into()) };
        if waits {
            connected(&stream.evented).await?;
        }
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Whether small writes leave at once.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.evented.io().set_nodelay(nodelay)
    }

    /// Reads without taking what is read.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::read`].
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.evented.poll_io(Side::Read, context, |std| std.peek(buffer))).await
    }
}

impl UnixStream {
    /// Connects to the socket at a path.
    ///
    /// # Errors
    ///
    /// The kernel's: `NotFound`, `ConnectionRefused` if nobody listens, `WouldBlock` if its queue is full.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let fd = socket(AddressFamily::UNIX, SocketType::STREAM)?;
        let address = rustix::net::SocketAddrUnix::new(path.as_ref())?;
        let waits = is_under_way(rustix::net::connect(&fd, &address))?;
        let stream = Self { evented: Evented::new(fd.into()) };
        if waits {
            connected(&stream.evented).await?;
        }
        Ok(stream)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// The kernel's, if the process is out of descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = std::os::unix::net::UnixStream::pair()?;
        Ok((one.try_into()?, other.try_into()?))
    }
}

/// Accepts TCP connections.
pub struct TcpListener {
    evented: Evented<std::net::TcpListener>,
}

/// Accepts connections over a Unix socket.
pub struct UnixListener {
    evented: Evented<std::os::unix::net::UnixListener>,
}

macro_rules! listener {
    ($type:ident, $std:ty, $stream:ident, $address:ty) => {
        wrapper!($type, $std);

        impl $type {
            /// Waits for the next connection.
            ///
            /// # Errors
            ///
            /// The kernel's. Out of descriptors is one that passes: the listener still listens.
            pub async fn accept(&self) -> io::Result<($stream, $address)> {
                poll_fn(|context| self.poll_accept(context)).await
            }

            pub(crate) fn poll_accept(&self, context: &Context<'_>) -> Poll<io::Result<($stream, $address)>> {
                let accepted = self.evented.poll_io(Side::Read, context, |std| std.accept());
                accepted.map(|accepted| {
                    let (std, address) = accepted?;
                    Ok((std.try_into()?, address))
                })
            }

            /// Its own address.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn local_addr(&self) -> io::Result<$address> {
                self.evented.io().local_addr()
            }
        }
    };
}

listener!(TcpListener, std::net::TcpListener, TcpStream, SocketAddr);
listener!(UnixListener, std::os::unix::net::UnixListener, UnixStream, UnixAddr);

impl TcpListener {
    /// Listens on an address, with `SO_REUSEADDR`; port 0 is a free one.
    ///
    /// # Errors
    ///
    /// The resolver's or the kernel's, such as `AddrInUse`.
    pub async fn bind(address: impl ToAddresses) -> io::Result<Self> {
        first(address, async |address| Self::bind_to(address)).await
    }

    fn bind_to(address: SocketAddr) -> io::Result<Self> {
        let fd = socket(family(&address), SocketType::STREAM)?;
        sockopt::set_socket_reuseaddr(&fd, true)?;
        rustix::net::bind(&fd, &address)?;
        rustix::net::listen(&fd, BACKLOG)?;
        Ok(Self { evented: Evented::new(fd.into()) })
    }
}

impl UnixListener {
    /// Listens at a path, which must not exist.
    ///
    /// The path stays when the listener is dropped.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `AddrInUse` if the path exists.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let fd = socket(AddressFamily::UNIX, SocketType::STREAM)?;
        rustix::net::bind(&fd, &rustix::net::SocketAddrUnix::new(path.as_ref())?)?;
        rustix::net::listen(&fd, BACKLOG)?;
        Ok(Self { evented: Evented::new(fd.into()) })
    }
}
