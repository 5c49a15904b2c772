//! Internet addresses, as Python writes them.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple};

use crate::boundary::object::Object;

/// An address with a number for a host; names are for the socket's own method.
fn from_python(address: &Bound<'_, PyAny>) -> Option<SocketAddrV4> {
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

/// The addresses that were seen last, with the tuples that Python has for them.
///
/// A server answers whom it has heard, with the tuple that it was given: neither the text need be made again, nor read.
/// What is connected to a server has the server's address.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    places: RefCell<Vec<Option<(SocketAddrV4, Object)>>>,
}

/// A power of two. Who shares a place is only made anew.
const PLACES: usize = 256;

impl Addresses {
    /// The tuple of an address, the same as before if it was seen of late.
    pub(crate) fn tuple<'py>(&self, py: Python<'py>, address: SocketAddrV4) -> PyResult<Bound<'py, PyAny>> {
        let place = usize::from(address.port()) % PLACES;
        if let Some(Some((kept, tuple))) = self.places.borrow().get(place)
            && *kept == address
        {
            return Ok(tuple.bind(py).clone());
        }
        // Made while nothing is borrowed: before 3.12, making an object may collect garbage, which may send.
        let tuple = to_python(py, SocketAddr::V4(address))?;
        let replaced = {
            let mut places = self.places.borrow_mut();
            if places.is_empty() {
                places.resize_with(PLACES, || None);
            }
            places[place].replace((address, tuple.clone().into()))
        };
        drop(replaced);
        Ok(tuple)
    }

    /// The address that a tuple stands for, if it can be used without a name being looked up.
    pub(crate) fn address(&self, tuple: &Bound<'_, PyAny>) -> Option<SocketAddrV4> {
        let port = tuple.cast_exact::<PyTuple>().ok()?.get_borrowed_item(1).ok()?;
        // Of any other type, asking would run code of the program's.
        let port: u16 = port.cast_exact::<PyInt>().ok()?.extract().ok()?;
        match self.places.borrow().get(usize::from(port) % PLACES) {
            Some(Some((address, kept))) if kept.as_ptr() == tuple.as_ptr() => Some(*address),
            _ => from_python(tuple),
        }
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
