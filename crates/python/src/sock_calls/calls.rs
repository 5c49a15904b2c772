//! What `loop.sock_recv`, `sock_recv_into` and `sock_sendall` do per call.
//!
//! The methods themselves are coroutines in Python, as in asyncio. Here are their system calls, without an
//! exception for "not now", and their waits: a future that is done when the descriptor is ready. A wait arms the
//! poller for one event, which is one system call where adding and removing a reader takes two.

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::boundary::buffer::{ReadableBuffer, WritableBuffer};
use crate::boundary::errors;
use crate::boundary::method::{self, Args, Body, RawMethod};
use crate::boundary::names::known;
use crate::boundary::object::Object;
use crate::event_loop::class::{Loop, READ_MAX};
use crate::event_loop::registrations::{self, Side};
use crate::queue::call_soon::raw_methods;
use crate::socket::descriptor::{MadeAs, Number};
use crate::stream::io::MUCH_BYTES;

raw_methods! {
    ReceiveNow, Loop, c"_receive_now", receive_now, c"_receive_now($self, sock, n)\n--\n\nReceive, or return None.";
    ReceiveIntoNow, Loop, c"_receive_into_now", receive_into_now,
        c"_receive_into_now($self, sock, buf)\n--\n\nReceive into a buffer, or return None.";
    SendNow, Loop, c"_send_now", send_now,
        c"_send_now($self, sock, data)\n--\n\nReturn how many bytes were sent, perhaps none.";
    WaitReadable, Loop, c"_wait_readable", wait_readable,
        c"_wait_readable($self, sock)\n--\n\nReturn a future that is done when a read would not block.";
    WaitWritable, Loop, c"_wait_writable", wait_writable,
        c"_wait_writable($self, sock)\n--\n\nReturn a future that is done when a write would not block.";
}

pub(crate) fn add_methods(py: Python<'_>) -> PyResult<()> {
    method::attach::<ReceiveNow>(py)?;
    method::attach::<ReceiveIntoNow>(py)?;
    method::attach::<SendNow>(py)?;
    method::attach::<WaitReadable>(py)?;
    method::attach::<WaitWritable>(py)
}

fn two_arguments(py: Python<'_>, args: Args<'_>) -> PyResult<(Object, Object)> {
    match (args.positional(py, 0), args.positional(py, 1)) {
        (Some(first), Some(second)) => Ok((first, second)),
        _ => Err(pyo3::exceptions::PyTypeError::new_err("two arguments are needed")),
    }
}

/// A plain socket's number; `None` where asyncio's checks have to be made, and the socket's own method called.
fn plain(slf: &Bound<'_, Loop>, sock: &Object) -> Option<Number> {
    if slf.get().is_debug() { None } else { Number::of_plain(sock.bind(slf.py())) }
}

/// asyncio: "not now" is the same as "interrupted".
fn is_not_now(errno: Errno) -> bool {
    matches!(errno, Errno::AGAIN | Errno::INTR)
}

fn receive_now(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    let (sock, wanted) = two_arguments(py, args)?;
    let len = wanted.bind(py).extract::<usize>().unwrap_or(0);
    if let Some(number) = plain(slf, &sock) {
        let outcome = if slf.get().receives_much().get() && may_be_much(sock.bind(py), len) {
            Some(number.receive(py, len)?)
        } else {
            let mut scratch = slf.get().scratch().borrow_mut();
            match scratch.get_mut(..len) {
                Some(room) if len > 0 => {
                    let received = number.with(|fd| rustix::net::recv(fd, &mut *room, RecvFlags::DONTWAIT));
                    Some(received.map(|(count, _)| PyBytes::new(py, &room[..count])))
                }
                _ => None,
            }
        };
        match outcome {
            Some(Ok(data)) => {
                slf.get().receives_much().set(data.as_bytes().len() >= MUCH_BYTES);
                return Ok(data.into_any().into());
            }
            Some(Err(errno)) if is_not_now(errno) => return Ok(known()?.none.clone_ref(py)),
            Some(Err(errno)) => return Err(errors::os(errno.raw_os_error())),
            None => {}
        }
    }
    by_method(slf, "_receive_checked", &sock, &wanted)
}

/// Whether so much of a stream may be read straight into the object that is returned.
fn may_be_much(sock: &Bound<'_, PyAny>, len: usize) -> bool {
    (MUCH_BYTES..=READ_MAX).contains(&len) && MadeAs::of_plain(sock).is_some_and(MadeAs::is_stream)
}

fn receive_into_now(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    let (sock, buffer) = two_arguments(py, args)?;
    let view = plain(slf, &sock).zip(WritableBuffer::new(buffer.bind(py)).ok());
    let Some((number, mut view)) = view.filter(|(_, view)| !view.is_empty()) else {
        return by_method(slf, "_receive_into_checked", &sock, &buffer);
    };
    match number.with(|fd| rustix::net::recv(fd, view.as_mut(), RecvFlags::DONTWAIT)) {
        Ok((count, _)) => Ok(count.into_pyobject(py)?.into_any().into()),
        Err(errno) if is_not_now(errno) => Ok(known()?.none.clone_ref(py)),
        Err(errno) => Err(errors::os(errno.raw_os_error())),
    }
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

fn by_method(slf: &Bound<'_, Loop>, name: &str, sock: &Object, argument: &Object) -> PyResult<Object> {
    let py = slf.py();
    Ok(slf.call_method1(name, (sock.bind(py), argument.bind(py)))?.into())
}

fn wait_readable(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    wait(py, slf, args, Side::Read)
}

fn wait_writable(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    wait(py, slf, args, Side::Write)
}

fn wait(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>, side: Side) -> PyResult<Object> {
    let (Some(sock), 1) = (args.positional(py, 0), args.len()) else {
        return Err(pyo3::exceptions::PyTypeError::new_err("one argument is needed"));
    };
    let sock = sock.bind(py);
    let number = match Number::of_plain(sock) {
        Some(number) => number.get(),
        None => sock.call_method0("fileno")?.extract()?,
    };
    registrations::wait(slf, number, side)
}

#[pymethods]
impl Loop {
    /// Ends a wait whose future nobody awaits any more; the number is what the socket had when it began.
    fn _stop_waiting(slf: &Bound<'_, Self>, fd: i32, waiter: &Bound<'_, PyAny>) {
        registrations::stop_waiting(slf, fd, waiter);
    }
}
