//! Sockets: TCP, UDP and Unix, and names.
//!
//! Reading and writing take `&self`, so that one task may read while another writes. Every type also implements
//! `futures-io`'s traits, itself and behind a reference, and (with the feature `hyper`) hyper's.

mod address;
mod datagram;
mod socket;
mod stream;

pub use address::{Addresses, ToAddresses, getaddrinfo};
pub use datagram::{UdpSocket, UnixDatagram};
pub use stream::{TcpListener, TcpStream, UnixListener, UnixStream};
