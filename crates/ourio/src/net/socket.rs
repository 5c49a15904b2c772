//! What every kind of socket has: how one is made, how the addresses of its peer are tried, and the traits of all.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::address::{ToAddresses, getaddrinfo};

pub(super) fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, kind, flags, None)?)
}

pub(super) fn family(address: &SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// Tries each address in turn; the last refusal is the error.
pub(super) async fn first<T>(
    addresses: impl ToAddresses,
    mut attempt: impl AsyncFnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut refusal = io::Error::new(io::ErrorKind::InvalidInput, "there is no address");
    for address in getaddrinfo(addresses).await? {
        match attempt(address).await {
            Ok(done) => return Ok(done),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// What every type has that wraps a descriptor of the standard library.
macro_rules! wrapper {
    ($type:ident, $std:ty) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.evented.fmt(f)
            }
        }

        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.evented.io().as_fd()
            }
        }

        impl TryFrom<$std> for $type {
            type Error = std::io::Error;

            /// Takes one of the standard library over.
            fn try_from(std: $std) -> std::io::Result<Self> {
                std.set_nonblocking(true)?;
                Ok(Self { evented: $crate::reactor::Evented::new(std) })
            }
        }
    };
}

pub(super) use wrapper;
