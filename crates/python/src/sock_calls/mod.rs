//! `loop.sock_recv`, `sock_recv_into` and `sock_sendall`, per call.
//!
//! The methods themselves are coroutines in Python, as in asyncio. Here are their system calls, without an exception for "not
//! now", and their waits.

use pyo3::prelude::*;

mod attempt;
mod receive;
mod send;
mod wait;

pub(crate) fn add_methods(py: Python<'_>) -> PyResult<()> {
    receive::add_methods(py)?;
    send::add_methods(py)?;
    wait::add_methods(py)
}
