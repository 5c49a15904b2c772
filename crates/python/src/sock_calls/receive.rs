//! `sock_recv` and `sock_recv_into`: one attempt.

use pyo3::prelude::*;
use rustix::net::RecvFlags;

use crate::boundary::buffer::WritableBuffer;
use crate::boundary::errors;
use crate::boundary::method::{self, Args, raw_methods, two_arguments};
use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::sock_calls::attempt::{by_method, is_not_now, plain};
use crate::socket::descriptor::MadeAs;
use crate::socket::receive_buffer::{MUCH_BYTES, READ_MAX};

raw_methods! {
    ReceiveNow, Loop, c"_receive_now", receive_now, c"_receive_now($self, sock, n)\n--\n\nReceive, or return None.";
    ReceiveIntoNow, Loop, c"_receive_into_now", receive_into_now,
        c"_receive_into_now($self, sock, buf)\n--\n\nReceive into a buffer, or return None.";
}

pub(crate) fn add_methods(py: Python<'_>) -> PyResult<()> {
    method::attach::<ReceiveNow>(py)?;
    method::attach::<ReceiveIntoNow>(py)
}

fn receive_now(py: Python<'_>, slf: &Bound<'_, Loop>, args: Args<'_>) -> PyResult<Object> {
    let (sock, wanted) = two_arguments(py, args)?;
    let len = wanted.bind(py).extract::<usize>().unwrap_or(0);
    if let Some(number) = plain(slf, &sock) {
        let (buffer, habit) = (slf.get().receive_buffer(), slf.get().receive_buffer().sock_recv_habit());
        let outcome = match len {
            _ if habit.expects_much() && may_be_much(sock.bind(py), len) => Some(number.receive(py, len)?),
            1..=READ_MAX => Some(buffer.receive(py, number, len)?),
            _ => None,
        };
        match outcome {
            Some(Ok(data)) => {
                habit.note(data.as_bytes().len());
                return Ok(data.into_any().into());
            }
            Some(Err(errno)) if is_not_now(errno) => return Ok(names()?.none.clone_ref(py)),
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
        Err(errno) if is_not_now(errno) => Ok(names()?.none.clone_ref(py)),
        Err(errno) => Err(errors::os(errno.raw_os_error())),
    }
}
