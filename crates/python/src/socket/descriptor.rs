//! Borrowing a descriptor from the Python socket that owns it.
//!
//! A transport's descriptor has one owner: the `socket.socket` object. A program can reach that object and
//! close it behind the transport's back; the number is then free for another connection, and a transport
//! that went on using the number would read and write *that* connection. So the number is asked of its
//! owner before every system call. Asking through `fileno()` would cost more than the rest of a small
//! read; the number is therefore read from the object itself, where a probe at import proves that it is
//! where every supported CPython has it: directly behind the object's head.
#![expect(unsafe_code, reason = "reads four ints of the socket object, as probed at import")]

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::net::RecvFlags;

use crate::boundary::buffer::receive_bytes;
use crate::boundary::names::names;
use crate::boundary::object::Object;

/// Set if the probe has found what is read where it is expected.
static LAYOUT_IS_KNOWN: AtomicBool = AtomicBool::new(false);

/// `PySocketSockObject` begins with the object's head, `sock_fd` and what it was made as (Modules/socketmodule.h).
#[repr(C)]
struct SocketHead {
    head: ffi::PyObject,
    fd: RawFd,
    made_as: MadeAs,
}

/// What a socket was made as, in the numbers of the C library.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MadeAs {
    pub(crate) family: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
}

impl MadeAs {
    /// That of an object that is a `socket.socket`, exactly; `None` of any other.
    pub(crate) fn of_plain(socket: &Bound<'_, PyAny>) -> Option<Self> {
        if !is_plain(socket) {
            return None;
        }
        // SAFETY: alive through the borrow, and of a type whose layout was probed.
        Some(unsafe { read(socket.as_ptr()) }.made_as)
    }

    /// Whether it is a connection of TCP: for these asyncio turns Nagle's algorithm off.
    pub(crate) fn is_tcp(self) -> bool {
        self.is_internet() && self.is_stream() && self.protocol == libc::IPPROTO_TCP
    }

    /// Whether it has no boundaries of messages.
    pub(crate) fn is_stream(self) -> bool {
        self.kind == libc::SOCK_STREAM
    }

    pub(crate) fn is_internet(self) -> bool {
        matches!(self.family, libc::AF_INET | libc::AF_INET6)
    }
}

/// Finds out whether a socket's numbers can be read directly.
pub(crate) fn probe(py: Python<'_>) -> PyResult<()> {
    let class = py.import("socket")?.getattr("socket")?;
    let base = py.import("_socket")?.getattr("socket")?;
    let large_enough = base.getattr("__basicsize__")?.extract::<usize>()? >= size_of::<SocketHead>();
    let agrees = |socket: &Bound<'_, PyAny>| -> PyResult<bool> {
        let told = Told {
            fd: socket.call_method0("fileno")?.extract()?,
            made_as: MadeAs {
                family: socket.getattr("family")?.extract()?,
                kind: socket.getattr("type")?.extract()?,
                protocol: socket.getattr("proto")?.extract()?,
            },
        };
        // SAFETY: the object is at least as large as what is read, as `large_enough` was checked before.
        Ok(large_enough && unsafe { read(socket.as_ptr()) } == told)
    };
    let mut known = true;
    for (family, kind, protocol) in [
        (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP),
        (libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0),
        (libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0),
    ] {
        let socket = class.call1((family, kind, protocol))?;
        known = known && agrees(&socket)?;
        socket.call_method0("close")?;
        known = known && agrees(&socket)?;
    }
    LAYOUT_IS_KNOWN.store(known, Ordering::Relaxed);
    Ok(())
}

/// What is read of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    fd: RawFd,
    made_as: MadeAs,
}

/// # Safety
///
/// `socket` points to a live object of at least the size of `SocketHead`.
#[inline]
unsafe fn read(socket: *mut ffi::PyObject) -> Told {
    // SAFETY: the caller's promise; an int has no invalid values.
    let head = unsafe { &*socket.cast::<SocketHead>() };
    Told { fd: head.fd, made_as: head.made_as }
}

/// Whether an object is a `socket.socket`, exactly, of a layout that is known.
#[inline]
fn is_plain(socket: &Bound<'_, PyAny>) -> bool {
    let exact = names().is_ok_and(|names| socket.get_type().as_ptr() == names.socket.as_ptr());
    exact && LAYOUT_IS_KNOWN.load(Ordering::Relaxed)
}

/// A descriptor's number as its owner has just told it; negative once the owner has closed it.
///
/// It is for the system call that follows at once: nothing may run in between that could close the owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(RawFd);

impl Number {
    /// Asks the socket in `place`, which is not borrowed while Python code runs.
    #[inline]
    pub(crate) fn of(place: &RefCell<Option<Socket>>, py: Python<'_>) -> Self {
        let owner = match place.borrow().as_ref() {
            None => return Self(-1),
            // SAFETY: alive through the borrow, and of a type whose layout was probed.
            Some(socket) if socket.direct => return Self(unsafe { read(socket.object.as_ptr()) }.fd),
            Some(socket) => socket.object.bind(py).clone(),
        };
        let number = owner.call_method0("fileno").and_then(|number| number.extract());
        Self(number.unwrap_or(-1))
    }

    /// Asks an object that is a `socket.socket`, exactly; `None` of any other.
    #[inline]
    pub(crate) fn of_plain(socket: &Bound<'_, PyAny>) -> Option<Self> {
        if !is_plain(socket) {
            return None;
        }
        // SAFETY: alive through the borrow, and of a type whose layout was probed.
        Some(Self(unsafe { read(socket.as_ptr()) }.fd))
    }

    /// Uses the descriptor for one system call; `EBADF` once the socket has been closed.
    #[inline]
    pub(crate) fn with<T>(
        self,
        call: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        if self.0 < 0 {
            return Err(rustix::io::Errno::BADF);
        }
        // SAFETY: not -1. The owner has just told the number, and closing it takes an attached thread; this
        // one is attached and makes the call at once (see the type's rule).
        call(unsafe { BorrowedFd::borrow_raw(self.0) })
    }

    /// Receives into a new object of so many bytes, which is then cut to what has come.
    ///
    /// # Errors
    ///
    /// The outer one is Python's, out of memory; the inner one the kernel's, `AGAIN` if nothing has come.
    pub(crate) fn receive(
        self,
        py: Python<'_>,
        capacity: usize,
    ) -> PyResult<rustix::io::Result<Bound<'_, PyBytes>>> {
        receive_bytes(py, capacity, |room| {
            let received = self.with(|fd| rustix::net::recv(fd, room, RecvFlags::DONTWAIT));
            received.map(|((data, _), _)| data.len())
        })
    }

    pub(crate) fn get(self) -> RawFd {
        self.0
    }
}

/// The Python socket that owns a transport's descriptor.
#[derive(Debug)]
pub(crate) struct Socket {
    object: Object,
    /// Whether the number may be read from the object: it is a `_socket.socket`, and the probe succeeded.
    direct: bool,
}

impl Socket {
    pub(crate) fn new(socket: &Bound<'_, PyAny>) -> PyResult<Self> {
        if is_plain(socket) {
            return Ok(Self { object: socket.clone().into(), direct: true });
        }
        let class = socket.py().import("_socket")?.getattr("socket")?;
        let direct = LAYOUT_IS_KNOWN.load(Ordering::Relaxed) && socket.is_instance(&class)?;
        // `isinstance` also believes `__class__`; the layout is that of the type.
        let direct = direct && socket.get_type().is_subclass(&class)?;
        Ok(Self { object: socket.clone().into(), direct })
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }
}
