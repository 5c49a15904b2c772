//! What `sock_recv`, `sock_recv_into` and `sock_sendall` wait for: a future that is done when the descriptor is ready.
//!
//! A wait arms the poller for one event, which is one system call where adding and removing a reader takes two.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::boundary::method::{self, Args, raw_methods};
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::event_loop::listeners;
use crate::event_loop::registrations::Side;
use crate::socket::descriptor::Number;

raw_methods! {
    WaitReadable, Loop, c"_wait_readable", wait_readable,
        c"_wait_readable($self, sock)\n--\n\nReturn a future that is done when a read would not block.";
    WaitWritable, Loop, c"_wait_writable", wait_writable,
        c"_wait_writable($self, sock)\n--\n\nReturn a future that is done when a write would not block.";
}

pub(crate) fn add_methods(py: Python<'_>) -> PyResult<()> {
    method::attach::<WaitReadable>(py)?;
    method::attach::<WaitWritable>(py)
}

fn wait_readable(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    wait(py, slf, args, Side::Read)
}

fn wait_writable(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    wait(py, slf, args, Side::Write)
}

fn wait(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>, side: Side) -> PyResult<Object> {
    let (Some(sock), 1) = (args.positional(py, 0), args.len()) else {
        return Err(PyTypeError::new_err("one argument is needed"));
    };
    let sock = sock.bind(py);
    let number = match Number::of_plain(sock) {
        Some(number) => number.get(),
        None => sock.call_method0("fileno")?.extract()?,
    };
    listeners::wait(slf, number, side)
}

#[pymethods]
impl Loop {
    /// Ends a wait whose future nobody awaits any more; the number is what the socket had when it began.
    fn _stop_waiting(slf: &Bound<'_, Self>, fd: i32, waiter: &Bound<'_, PyAny>) {
        listeners::stop_waiting(slf, fd, waiter);
    }
}
