//! The `SSL*` of an `ssl.SSLObject`, used directly.
//!
//! `ssl.SSLContext` makes the connection's `SSL` and its two memory BIOs, with all that the program has set: ALPN,
//! SNI callbacks, verification, ciphers, key log. What runs per packet then need not go through Python's methods:
//! the same OpenSSL functions are called on the same objects, so both ways may be mixed freely.
//!
//! Two things must be found, and neither is trusted. The functions are those of the very libraries that the
//! module `_ssl` is linked to ([`libssl`]); where they cannot be had, there is no [`Session`]. The
//! pointers are read from the objects, and the memory behind the supposed `SSL` is copied by the kernel, which
//! refuses what is not mapped: only if both BIOs are in it, it is the `SSL`.
//!
//! A session is used by attached threads only and for one call at a time. Python's own `_ssl` detaches during its
//! calls: a program that takes `ssl_object` out of a transport and *reads from it in another thread* races with
//! the loop, as it does with asyncio's.
#![expect(unsafe_code, reason = "OpenSSL's functions on the objects of the ssl module")]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::pipe::PipeFlags;

use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::tls::libssl::{self, Functions};

type Ssl = NonNull<c_void>;
type Bio = NonNull<c_void>;

/// A TLS connection and its two memory BIOs.
#[derive(Debug)]
pub(crate) struct Session {
    functions: &'static Functions,
    /// What keeps the `SSL`, and through it both BIOs, alive: the `_ssl._SSLSocket`.
    owner: Object,
    ssl: Ssl,
    incoming: Bio,
    outgoing: Bio,
}

/// Why a read or a write has done nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// More must come from the peer first, or go to it.
    Again,
    /// The peer has said that it sends no more.
    Closed,
    /// Left in OpenSSL's error queue, where the ssl module finds it.
    Failed,
}

/// Set once both BIOs were found in an `SSL`.
static LAYOUT_IS_PROVEN: AtomicBool = AtomicBool::new(false);

/// How much of the supposed `SSL` is looked at. In every OpenSSL since 1.1 both BIOs are in its first 200 bytes.
const LOOKED_AT: usize = 512;

/// What OpenSSL puts at most into one record: what is written together up to here is encrypted together.
pub(crate) const RECORD_MAX: usize = 16 * 1024;

impl Session {
    /// The session of an `ssl.SSLObject` between two `ssl.MemoryBIO`; `None` where it cannot be had.
    ///
    /// # Errors
    ///
    /// None of its own; those of attribute lookups.
    pub(crate) fn of(
        ssl_object: &Bound<'_, PyAny>,
        incoming: &Bound<'_, PyAny>,
        outgoing: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Self>> {
        let Some([memory_bio, ssl_socket, plain]) = &names()?.tls_objects else { return Ok(None) };
        let exact = |object: &Bound<'_, PyAny>, class: &Object| object.get_type().as_ptr() == class.as_ptr();
        if !exact(ssl_object, plain) || !exact(incoming, memory_bio) || !exact(outgoing, memory_bio) {
            return Ok(None);
        }
        let py = ssl_object.py();
        let owner = ssl_object.getattr(intern!(py, "_sslobj"))?;
        let Some(functions) = libssl::functions(py) else { return Ok(None) };
        if !exact(&owner, ssl_socket) {
            return Ok(None);
        }
        // Modules/_ssl.c: a MemoryBIO is its head and the BIO; an _SSLSocket its head, a reference, and the SSL.
        let found = (word(incoming, 0)?, word(outgoing, 0)?, word(&owner, 1)?);
        let (Some(incoming), Some(outgoing), Some(ssl)) = found else { return Ok(None) };
        // The types are `_ssl`'s own, exactly: what holds for one of their objects holds for all.
        if !LAYOUT_IS_PROVEN.load(Ordering::Relaxed) {
            if !refers_to(ssl, &[incoming, outgoing]) {
                return Ok(None);
            }
            LAYOUT_IS_PROVEN.store(true, Ordering::Relaxed);
        }
        Ok(Some(Self { functions, owner: owner.into(), ssl, incoming, outgoing }))
    }

    /// For `__traverse__`.
    pub(crate) fn owner(&self) -> &Object {
        &self.owner
    }

    /// Hands over what came from the peer; false if OpenSSL is out of memory.
    pub(crate) fn put(&self, data: &[u8]) -> bool {
        let Ok(len) = c_int::try_from(data.len()) else { return false };
        // SAFETY: the BIO is alive through `owner`, `data` is readable, this thread is attached.
        len == 0
            || unsafe { (self.functions.bio_write)(self.incoming.as_ptr(), data.as_ptr().cast(), len) } == len
    }

    /// Decrypts into `buffer`, which is not empty; at most one record.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Refusal> {
        // SAFETY: `buffer` is writable, and OpenSSL writes bytes.
        unsafe { self.read_to(buffer.as_mut_ptr(), buffer.len()) }
    }

    /// The same, into memory that was not written yet.
    pub(crate) fn read_into(&self, buffer: &mut [MaybeUninit<u8>]) -> Result<usize, Refusal> {
        // SAFETY: `buffer` is writable.
        unsafe { self.read_to(buffer.as_mut_ptr().cast(), buffer.len()) }
    }

    /// # Safety
    ///
    /// `len` bytes at `start` are writable.
    unsafe fn read_to(&self, start: *mut u8, len: usize) -> Result<usize, Refusal> {
        let len = c_int::try_from(len).unwrap_or(c_int::MAX);
        // SAFETY: the SSL is alive through `owner`, the memory is the caller's promise, this thread is attached.
        let outcome = unsafe {
            (self.functions.clear_error)();
            (self.functions.read)(self.ssl.as_ptr(), start.cast(), len)
        };
        self.judge(outcome)
    }

    /// Encrypts `data`, which is not empty.
    pub(crate) fn write(&self, data: &[u8]) -> Result<usize, Refusal> {
        let len = c_int::try_from(data.len()).unwrap_or(c_int::MAX);
        // SAFETY: as `read`; `data` is readable.
        let outcome = unsafe {
            (self.functions.clear_error)();
            (self.functions.write)(self.ssl.as_ptr(), data.as_ptr().cast(), len)
        };
        self.judge(outcome)
    }

    /// Whether a read could give more without anything from the peer.
    pub(crate) fn may_have_more(&self) -> bool {
        // SAFETY: both are alive through `owner`, and this thread is attached.
        unsafe {
            (self.functions.bio_pending)(self.incoming.as_ptr()) > 0
                || (self.functions.pending)(self.ssl.as_ptr()) > 0
        }
    }

    /// Takes what is to be sent to the peer; `None` if that is nothing.
    pub(crate) fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let len = self.to_send();
        if len == 0 {
            return Ok(None);
        }
        let taken = PyBytes::new_with(py, len, |buffer| {
            let wanted = c_int::try_from(buffer.len())?;
            // SAFETY: the BIO is alive through `owner`, `buffer` is writable, this thread is attached.
            let count = unsafe {
                (self.functions.bio_read)(self.outgoing.as_ptr(), buffer.as_mut_ptr().cast(), wanted)
            };
            // A memory BIO gives all of what it has just said to have.
            if count == wanted {
                Ok(())
            } else {
                Err(pyo3::exceptions::PySystemError::new_err("OpenSSL's memory BIO is short"))
            }
        })?;
        Ok(Some(taken))
    }

    /// Takes what is to be sent to the peer, or as much of it as there is room for.
    pub(crate) fn take_into(&self, room: &mut [MaybeUninit<u8>]) -> usize {
        let len = self.to_send().min(room.len());
        let Ok(wanted @ 1..) = c_int::try_from(len) else { return 0 };
        // SAFETY: the BIO is alive through `owner`, `room` is writable, this thread is attached.
        let count =
            unsafe { (self.functions.bio_read)(self.outgoing.as_ptr(), room.as_mut_ptr().cast(), wanted) };
        usize::try_from(count).unwrap_or(0)
    }

    /// Bytes that wait to be sent to the peer.
    pub(crate) fn to_send(&self) -> usize {
        // SAFETY: alive through `owner`, and this thread is attached.
        unsafe { (self.functions.bio_pending)(self.outgoing.as_ptr()) }
    }

    fn judge(&self, outcome: c_int) -> Result<usize, Refusal> {
        if outcome > 0 {
            return Ok(usize::try_from(outcome).unwrap_or(0));
        }
        // SAFETY: the SSL is alive through `owner`, and `outcome` is what the call just before has returned.
        match unsafe { (self.functions.get_error)(self.ssl.as_ptr(), outcome) } {
            libssl::ERROR_WANT_READ | libssl::ERROR_WANT_WRITE => Err(Refusal::Again),
            libssl::ERROR_ZERO_RETURN => Err(Refusal::Closed),
            _ => Err(Refusal::Failed),
        }
    }
}

/// The pointer-sized field behind an object's head and `skipped` others.
fn word(object: &Bound<'_, PyAny>, skipped: usize) -> PyResult<Option<NonNull<c_void>>> {
    let offset = size_of::<ffi::PyObject>() + skipped * size_of::<usize>();
    let size = object.get_type().getattr(intern!(object.py(), "__basicsize__"))?.extract::<usize>()?;
    if size < offset + size_of::<usize>() {
        return Ok(None);
    }
    // SAFETY: inside of the object, whose size was just checked, and aligned: heads and fields are whole words.
    let word = unsafe { object.as_ptr().byte_add(offset).cast::<*mut c_void>().read() };
    Ok(NonNull::new(word))
}

/// Whether the memory at `start` holds every one of these pointers. The kernel reads it: it may be anything.
fn refers_to(start: NonNull<c_void>, pointers: &[NonNull<c_void>]) -> bool {
    let Ok((reader, writer)) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) else {
        return false;
    };
    let writer_number = std::os::fd::AsRawFd::as_raw_fd(&writer);
    // SAFETY: write(2) only reads, and answers EFAULT or with less for memory that is not mapped.
    let written = unsafe { libc::write(writer_number, start.as_ptr(), LOOKED_AT) };
    let mut copy = [0; LOOKED_AT];
    let Ok(count) = rustix::io::read(&reader, &mut copy) else { return false };
    if usize::try_from(written) != Ok(count) {
        return false;
    }
    let words = copy[..count].as_chunks::<{ size_of::<usize>() }>().0;
    pointers
        .iter()
        .all(|pointer| words.iter().any(|word| usize::from_ne_bytes(*word) == pointer.as_ptr().addr()))
}
