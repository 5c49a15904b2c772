//! The memory of Python objects: of a `bytes`, which cannot change, of buffers that can, and of a `bytes` that is being made.
#![expect(unsafe_code, reason = "views of Python buffers")]

use std::mem::MaybeUninit;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use crate::boundary::object::Object;

/// Bytes that stay alive and unchanged until they are written.
#[derive(Debug)]
pub(crate) struct Bytes {
    /// A `bytes` object.
    bytes: Object,
}

impl AsRef<[u8]> for Bytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `bytes` is a `bytes` object by construction, alive through `self`, and immutable.
        unsafe {
            let start = ffi::PyBytes_AS_STRING(self.bytes.as_ptr()).cast::<u8>();
            let len = usize::try_from(ffi::PyBytes_Size(self.bytes.as_ptr())).unwrap_or(0);
            std::slice::from_raw_parts(start, len)
        }
    }
}

impl From<Bound<'_, PyBytes>> for Bytes {
    fn from(bytes: Bound<'_, PyBytes>) -> Self {
        Self { bytes: bytes.into() }
    }
}

impl Bytes {
    /// An object that is a `bytes`, exactly; `None` of any other.
    #[inline]
    pub(crate) fn of_exact(py: Python<'_>, data: &Object) -> Option<Self> {
        // SAFETY: a type check of a live object.
        (unsafe { ffi::PyBytes_CheckExact(data.as_ptr()) } != 0).then(|| Self { bytes: data.clone_ref(py) })
    }

    /// Copies any buffer, or what else `bytes` can be made of.
    pub(crate) fn copy(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        // SAFETY: a live object; the result is owned or null with an error. It is an exact `bytes`.
        let bytes = unsafe { Object::from_owned(data.py(), ffi::PyBytes_FromObject(data.as_ptr())) }?;
        Ok(Self { bytes })
    }
}

/// Whether asyncio's `write` takes such an object.
pub(crate) fn is_writable_data(data: &Bound<'_, PyAny>) -> bool {
    data.is_instance_of::<PyBytes>()
        || data.is_instance_of::<PyByteArray>()
        || data.is_instance_of::<PyMemoryView>()
}

/// A view of data that can change, to be sent from without a copy.
pub(crate) struct ReadableBuffer {
    view: Box<ffi::Py_buffer>,
}

impl ReadableBuffer {
    /// `None` of a `bytes` object, which needs none, of what `write` does not take or is not contiguous, and of less
    /// than `least` bytes.
    #[inline]
    pub(crate) fn of_large(data: &Bound<'_, PyAny>, least: usize) -> Option<Self> {
        if data.is_exact_instance_of::<PyBytes>() { None } else { Self::of(data, least) }
    }

    fn of(data: &Bound<'_, PyAny>, least: usize) -> Option<Self> {
        if !is_writable_data(data) {
            return None;
        }
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: `view` is writable, and is released exactly once, on drop, only if this succeeds.
        let outcome = unsafe { ffi::PyObject_GetBuffer(data.as_ptr(), &raw mut *view, ffi::PyBUF_SIMPLE) };
        if outcome < 0 {
            // Whoever copies it says why, if that fails too.
            drop(PyErr::take(data.py()));
            return None;
        }
        let this = Self { view };
        (this.as_ref().len() >= least.max(1)).then_some(this)
    }
}

impl AsRef<[u8]> for ReadableBuffer {
    fn as_ref(&self) -> &[u8] {
        match usize::try_from(self.view.len) {
            Ok(len) if len > 0 && !self.view.buf.is_null() => {
                // SAFETY: a simple buffer is `len` contiguous bytes at `buf`, exported until released. Other Python
                // code could write to it, but does not run while this thread is attached and only sends or copies.
                unsafe { std::slice::from_raw_parts(self.view.buf.cast::<u8>(), len) }
            }
            _ => &[],
        }
    }
}

impl Drop for ReadableBuffer {
    fn drop(&mut self) {
        // SAFETY: acquired by `of`, which is the only constructor, and released here only.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.view) }
    }
}

unsafe extern "C" {
    /// Public API of CPython that PyO3 does not declare.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> std::ffi::c_int;
}

/// A new `bytes` object that is received into: no larger than `capacity`, and as long as `receive` says.
///
/// # Errors
///
/// The outer one is Python's, out of memory; the inner one is that of `receive`.
pub(crate) fn receive_bytes<E>(
    py: Python<'_>,
    capacity: usize,
    receive: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<usize, E>,
) -> PyResult<Result<Bound<'_, PyBytes>, E>> {
    // SAFETY: an owned reference, or null with an error. Its bytes are not set yet, and nobody else has it.
    let bytes = unsafe {
        Object::from_owned(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), capacity.cast_signed()))?
    };
    // SAFETY: the object has room for `capacity` bytes, which may hold anything, and is ours alone.
    let room = unsafe {
        std::slice::from_raw_parts_mut(
            ffi::PyBytes_AS_STRING(bytes.as_ptr()).cast_mut().cast::<MaybeUninit<u8>>(),
            capacity,
        )
    };
    let count = match receive(room) {
        Ok(count) => count.min(capacity),
        Err(error) => return Ok(Err(error)),
    };
    let mut ptr = bytes.into_ptr();
    // SAFETY: the only reference, to an object that nobody has seen. It is replaced, or null with an error.
    let bytes = unsafe {
        if _PyBytes_Resize(&raw mut ptr, count.cast_signed()) < 0 {
            return Err(PyErr::fetch(py));
        }
        Bound::from_owned_ptr(py, ptr)
    };
    Ok(Ok(bytes.cast_into::<PyBytes>()?))
}

/// A writable view of a protocol's buffer.
pub(crate) struct WritableBuffer {
    view: Box<ffi::Py_buffer>,
}

impl WritableBuffer {
    /// # Errors
    ///
    /// `BufferError` or `TypeError` if the object has no writable contiguous memory.
    pub(crate) fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: `view` is writable, and is released exactly once, on drop, only if this succeeds.
        let outcome =
            unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, ffi::PyBUF_WRITABLE) };
        if outcome < 0 {
            return Err(PyErr::fetch(object.py()));
        }
        let this = Self { view };
        if this.view.buf.is_null() && this.view.len > 0 {
            return Err(PyBufferError::new_err("the buffer has no memory"));
        }
        Ok(this)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.view.len <= 0
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        let len = usize::try_from(self.view.len).unwrap_or(0);
        if len == 0 {
            return &mut [];
        }
        // SAFETY: a simple writable buffer is `len` contiguous bytes at `buf`, exported until released.
        // Other Python code could write to it too, but does not run while this thread is attached
        // between here and the end of one recv(2).
        unsafe { std::slice::from_raw_parts_mut(self.view.buf.cast::<u8>(), len) }
    }
}

impl Drop for WritableBuffer {
    fn drop(&mut self) {
        // SAFETY: acquired by `new`, which is the only constructor, and released here only.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.view) }
    }
}
