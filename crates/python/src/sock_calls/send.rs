//! `sock_sendall`: one attempt.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::net::SendFlags;

use crate::boundary::buffer::ReadableBuffer;
use crate::boundary::errors;
use crate::boundary::method::{self, Args, raw_methods, two_arguments};
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::sock_calls::attempt::{by_method, is_not_now, plain};

raw_methods! {
    SendNow, Loop, c"_send_now", send_now,
        c"_send_now($self, sock, data)\n--\n\nReturn how many bytes were sent, perhaps none.";
}

pub(crate) fn add_methods(py: Python<'_>) -> PyResult<()> {
    method::attach::<SendNow>(py)
}

fn send_now(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    let (sock, data) = two_arguments(py, args)?;
    if let Some(number) = plain(slf, &sock) {
        let send = |data: &[u8]| {
            number.with(|fd| rustix::net::send(fd, data, SendFlags::DONTWAIT | SendFlags::NOSIGNAL))
        };
        let outcome = match data.bind(py).cast_exact::<PyBytes>() {
            Ok(bytes) => Some(send(bytes.as_bytes())),
            Err(_) => ReadableBuffer::of_large(data.bind(py), 1).map(|view| send(view.as_ref())),
        };
        match outcome {
            Some(Ok(count)) => return Ok(count.into_pyobject(py)?.into_any().into()),
            Some(Err(errno)) if is_not_now(errno) => return Ok(0_usize.into_pyobject(py)?.into_any().into()),
            Some(Err(errno)) => return Err(errors::os(errno.raw_os_error())),
            None => {}
        }
    }
    by_method(slf, "_send_checked", &sock, &data)
}
