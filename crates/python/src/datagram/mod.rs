//! Datagram transports: the system calls of asyncio's own `_SelectorDatagramTransport`.
//!
//! asyncio's transport stays what it is: buffering, flow control, closing. What runs per datagram is done here for
//! IPv4, with addresses as Python gives them: receiving, and sending while nothing is buffered.

use pyo3::prelude::*;
use pyo3::types::PyType;

mod inherited;
mod outgoing;
mod receiving;
mod sending;

/// Makes a subclass of asyncio's datagram transport native where that pays.
#[pyfunction]
pub(crate) fn _add_datagram_methods(class: &Bound<'_, PyType>) -> PyResult<()> {
    receiving::add_method(class)?;
    sending::add_method(class)
}
