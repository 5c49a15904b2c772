//! Where a connection goes: an address, or a name that somebody must look up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};

use crate::blocking::to_thread;

/// Addresses, or a name and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// Known already.
    Known(Vec<SocketAddr>),
    /// To be looked up.
    Named(String, u16),
    /// A text that is neither.
    Unclear(String),
}

/// What a socket can be bound or connected to.
pub trait ToAddresses {
    /// The addresses, without asking anybody.
    fn to_addresses(self) -> Addresses;
}

impl ToAddresses for Addresses {
    fn to_addresses(self) -> Addresses {
        self
    }
}

impl ToAddresses for &Addresses {
    fn to_addresses(self) -> Addresses {
        self.clone()
    }
}

macro_rules! known {
    ($($type:ty),+) => {
        $(impl ToAddresses for $type {
            fn to_addresses(self) -> Addresses {
                Addresses::Known(vec![self.into()])
            }
        })+
    };
}

known!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToAddresses for &SocketAddr {
    fn to_addresses(self) -> Addresses {
        Addresses::Known(vec![*self])
    }
}

impl ToAddresses for &[SocketAddr] {
    fn to_addresses(self) -> Addresses {
        Addresses::Known(self.to_vec())
    }
}

impl ToAddresses for Vec<SocketAddr> {
    fn to_addresses(self) -> Addresses {
        Addresses::Known(self)
    }
}

impl ToAddresses for (&str, u16) {
    fn to_addresses(self) -> Addresses {
        match self.0.parse::<IpAddr>() {
            Ok(address) => (address, self.1).to_addresses(),
            Err(_) => Addresses::Named(self.0.to_owned(), self.1),
        }
    }
}

impl ToAddresses for (String, u16) {
    fn to_addresses(self) -> Addresses {
        (self.0.as_str(), self.1).to_addresses()
    }
}

impl ToAddresses for &str {
    /// `address:port` or `name:port`; an IPv6 address stands in brackets.
    fn to_addresses(self) -> Addresses {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return address.to_addresses();
        }
        match self.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
            Some((host, Ok(port))) => (host, port).to_addresses(),
            _ => Addresses::Unclear(self.to_owned()),
        }
    }
}

impl ToAddresses for String {
    fn to_addresses(self) -> Addresses {
        self.as_str().to_addresses()
    }
}

impl ToAddresses for &String {
    fn to_addresses(self) -> Addresses {
        self.as_str().to_addresses()
    }
}

/// The addresses of a host. asyncio: `loop.getaddrinfo`.
///
/// The system's resolver is asked on a thread of the loop; addresses need none.
///
/// # Errors
///
/// What the resolver says; `InvalidInput` for a text without a port.
pub async fn getaddrinfo(host: impl ToAddresses) -> io::Result<Vec<SocketAddr>> {
    let (name, port) = match host.to_addresses() {
        Addresses::Known(known) => return Ok(known),
        Addresses::Named(name, port) => (name, port),
        Addresses::Unclear(text) => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{text:?} is not HOST:PORT")));
        }
    };
    let asked =
        to_thread(move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>)).await;
    let found: Vec<_> = asked.map_err(io::Error::other)??;
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(found)
}
