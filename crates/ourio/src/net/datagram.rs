//! Sockets of messages: UDP and Unix.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

use super::address::ToAddresses;
use super::socket::{first, wrapper};
use crate::reactor::{Evented, Side};

/// A UDP socket.
pub struct UdpSocket {
    evented: Evented<std::net::UdpSocket>,
}

/// A Unix socket of messages.
pub struct UnixDatagram {
    evented: Evented<std::os::unix::net::UnixDatagram>,
}

macro_rules! datagrams {
    ($type:ident, $std:ty, $address:ty) => {
        wrapper!($type, $std);

        impl $type {
            /// Waits for a message: its length and its sender. What does not fit into the buffer is lost.
            ///
            /// # Errors
            ///
            /// The kernel's; `ConnectionRefused` if an earlier message has found nobody.
            pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, $address)> {
                poll_fn(|context| self.evented.poll_io(Side::Read, context, |std| std.recv_from(buffer)))
                    .await
            }

            /// Waits for a message of the peer that this socket is connected to.
            ///
            /// # Errors
            ///
            /// As `recv_from`.
            pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
                poll_fn(|context| self.evented.poll_io(Side::Read, context, |std| std.recv(buffer))).await
            }

            /// Sends a message to the peer that this socket is connected to.
            ///
            /// # Errors
            ///
            /// The kernel's; `NotConnected` without a peer.
            pub async fn send(&self, message: &[u8]) -> io::Result<usize> {
                poll_fn(|context| self.evented.poll_io(Side::Write, context, |std| std.send(message))).await
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

datagrams!(UdpSocket, std::net::UdpSocket, SocketAddr);
datagrams!(UnixDatagram, std::os::unix::net::UnixDatagram, UnixAddr);

impl UdpSocket {
    /// A socket on an address; port 0 is a free one.
    ///
    /// # Errors
    ///
    /// The resolver's or the kernel's.
    pub async fn bind(address: impl ToAddresses) -> io::Result<Self> {
        first(address, async |address| std::net::UdpSocket::bind(address)?.try_into()).await
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// The resolver's or the kernel's, such as a message that is too long.
    pub async fn send_to(&self, message: &[u8], address: impl ToAddresses) -> io::Result<usize> {
        first(address, async |address| {
            poll_fn(|context| self.evented.poll_io(Side::Write, context, |std| std.send_to(message, address)))
                .await
        })
        .await
    }

    /// Makes an address the only peer.
    ///
    /// # Errors
    ///
    /// The resolver's or the kernel's.
    pub async fn connect(&self, address: impl ToAddresses) -> io::Result<()> {
        first(address, async |address| self.evented.io().connect(address)).await
    }
}

impl UnixDatagram {
    /// A socket at a path, which must not exist.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        std::os::unix::net::UnixDatagram::bind(path)?.try_into()
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = std::os::unix::net::UnixDatagram::pair()?;
        Ok((one.try_into()?, other.try_into()?))
    }

    /// Sends a message to the socket at a path.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub async fn send_to(&self, message: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let path = path.as_ref();
        poll_fn(|context| self.evented.poll_io(Side::Write, context, |std| std.send_to(message, path))).await
    }
}
