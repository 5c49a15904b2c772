//! Where a loop receives: one buffer, and how to tell when it is better not to use it.
//!
//! A read lands in the buffer and is copied into an object of its size. From a certain size on copying costs more than
//! allocating, so after such a read the next one goes straight into an object of the largest size, which is then cut.

use std::cell::{Cell, RefCell};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::net::RecvFlags;

use crate::socket::descriptor::Number;

/// asyncio: a transport reads at most this much at once (`max_size`).
pub(crate) const READ_MAX: usize = 256 * 1024;

/// From here on a read is much.
pub(crate) const MUCH_BYTES: usize = 64 * 1024;

/// How much the last read has brought, which is what the next one is expected to bring.
#[derive(Debug, Default)]
pub(crate) struct ReadHabit {
    much: Cell<bool>,
}

impl ReadHabit {
    #[inline]
    pub(crate) fn expects_much(&self) -> bool {
        self.much.get()
    }

    #[inline]
    pub(crate) fn note(&self, bytes: usize) {
        self.much.set(bytes >= MUCH_BYTES);
    }
}

/// The one buffer of a loop. What is in it is gone when the next read begins.
#[derive(Debug)]
pub(crate) struct ReceiveBuffer {
    bytes: RefCell<Vec<u8>>,
    /// Of what `loop.sock_recv` reads; a transport has a habit of its own.
    sock_recv: ReadHabit,
}

impl Default for ReceiveBuffer {
    fn default() -> Self {
        Self { bytes: RefCell::new(vec![0; READ_MAX]), sock_recv: ReadHabit::default() }
    }
}

impl ReceiveBuffer {
    /// Lends it out. No code of the program's may run in `body`, which could receive too.
    #[inline]
    pub(crate) fn with<T>(&self, body: impl FnOnce(&mut [u8]) -> T) -> T {
        body(&mut self.bytes.borrow_mut())
    }

    /// Receives at most `len` bytes, no more than the buffer holds, into a new object. Never blocks.
    ///
    /// # Errors
    ///
    /// The outer one is Python's, out of memory; the inner one the kernel's, `AGAIN` if nothing has come.
    #[inline]
    pub(crate) fn receive<'py>(
        &self,
        py: Python<'py>,
        number: Number,
        len: usize,
    ) -> PyResult<rustix::io::Result<Bound<'py, PyBytes>>> {
        self.with(|bytes| {
            // Released: whoever still receives gets an object of its own.
            if bytes.is_empty() {
                return number.receive(py, len.min(READ_MAX));
            }
            let room = &mut bytes[..len.min(READ_MAX)];
            let received = number.with(|fd| rustix::net::recv(fd, &mut *room, RecvFlags::DONTWAIT));
            Ok(received.map(|(count, _)| PyBytes::new(py, &room[..count])))
        })
    }

    pub(crate) fn sock_recv_habit(&self) -> &ReadHabit {
        &self.sock_recv
    }

    /// Gives its memory back, as the loop is closed.
    pub(crate) fn release(&self) {
        self.bytes.take();
    }
}
