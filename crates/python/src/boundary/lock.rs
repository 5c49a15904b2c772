//! State that the interpreter's lock protects.
//!
//! A loop and its transports are used by one thread at a time, but Python lets a program touch any object
//! from any thread, and only the interpreter's lock keeps those touches apart. [`GilBound`] says so in
//! the type: what is in it is reached with the lock held, which `#[pyclass]` methods and the raw methods of
//! this crate are by construction.
#![expect(unsafe_code, reason = "states the rule of the interpreter's lock to the compiler")]

use std::ops::Deref;
use std::sync::OnceLock;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// The interpreter that has imported the module first. Its objects are in our statics.
static INTERPRETER: OnceLock<i64> = OnceLock::new();

/// Refuses any other interpreter of this process: it must not meet the first one's objects.
///
/// Since 3.12 the interpreter itself refuses to import a module that does not say that it supports several.
#[pyfunction]
pub(crate) fn _check_interpreter(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: the thread is attached, so it has a current interpreter.
    let current = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if *INTERPRETER.get_or_init(|| current) == current {
        return Ok(());
    }
    Err(PyImportError::new_err("ourio runs in one interpreter of a process, and another has imported it"))
}

/// A value that is reached only while the thread is attached to the interpreter.
#[derive(Debug)]
pub(crate) struct GilBound<T>(T);

// SAFETY: every value of this type lives in a Python object or in a static that is set at import, so it is
// reached through a reference to that object, which needs an attached thread. The module declares
// `gil_used = true`: on a free-threaded build the interpreter turns its lock on when it imports us. So
// at most one thread is attached at a time, and a switch of threads (a release and an acquisition of the
// lock) orders its memory accesses. Interior mutability is by `Cell` and `RefCell`, whose borrows end
// before Python code can run.
unsafe impl<T> Send for GilBound<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for GilBound<T> {}

impl<T> GilBound<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for GilBound<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
