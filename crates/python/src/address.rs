//! Internet addresses, as Python writes them.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple};

/// An address with a number for a host; names are for the socket's own method.
pub(crate) fn from_python(address: &Bound<'_, PyAny>) -> Option<SocketAddrV4> {
    let address = address.cast_exact::<PyTuple>().ok()?;
    let (host, port) = (address.get_item(0).ok()?, address.get_item(1).ok()?);
    if address.len() != 2 || !port.is_exact_instance_of::<PyInt>() {
        return None;
    }
    let host: Ipv4Addr = host.cast_exact::<PyString>().ok()?.to_str().ok()?.parse().ok()?;
    Some(SocketAddrV4::new(host, port.extract().ok()?))
}

/// The tuple that `socket` makes of an address.
pub(crate) fn to_python(py: Python<'_>, address: SocketAddr) -> PyResult<Bound<'_, PyAny>> {
    let mut host = String::with_capacity(45);
    // Writing to a string cannot fail.
    let _ = match address {
        SocketAddr::V4(address) => write!(host, "{}", address.ip()),
        SocketAddr::V6(address) => match embedded(address.ip()) {
            Some(ip) => write!(host, "::{ip}"),
            None => write!(host, "{}", address.ip()),
        },
    };
    match address {
        SocketAddr::V4(address) => (host, address.port()).into_pyobject(py).map(Bound::into_any),
        SocketAddr::V6(address) => (host, address.port(), address.flowinfo(), address.scope_id())
            .into_pyobject(py)
            .map(Bound::into_any),
    }
}

/// The address of version 4 in the last bytes of one that has zeros before: the C library writes it with dots.
fn embedded(address: &Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}
