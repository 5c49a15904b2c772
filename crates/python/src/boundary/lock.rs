//! The rule of the interpreter's lock.
//!
//! A loop and its transports are used by one thread at a time, but Python lets a program touch any object
//! from any thread, and only the interpreter's lock keeps those touches apart. [`LockBound`] says so in
//! the type: what is in it is reached with the lock held, which `#[pyclass]` methods and the raw methods of
//! this crate are by construction.
//!
//! This is the one place where a build decides what "reached by one thread at a time" rests on. Everything else says
//! [`LockBound`], and only ever borrows what is in it through the object that holds it; so a free-threaded build can have
//! another type of that name here, which asks for the owning thread or enters a critical section when it is dereferenced.
#![expect(unsafe_code, reason = "states the rule of the interpreter's lock to the compiler")]

use std::ops::Deref;
use std::sync::OnceLock;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// A value that is reached by one thread at a time, in the way that this build has for it.
///
/// There is one way so far: the module declares `gil_used = true`, and an interpreter without the lock turns it on when
/// it imports us.
pub(crate) type LockBound<T> = ByInterpreterLock<T>;

/// A value that is reached only while the thread is attached to the interpreter.
#[derive(Debug)]
pub(crate) struct ByInterpreterLock<T>(T);

// SAFETY: every value of this type lives in a Python object or in a static that is set at import, so it is
// reached through a reference to that object, which needs an attached thread. The module declares
// `gil_used = true`: on a free-threaded build the interpreter turns its lock on when it imports us. So
// at most one thread is attached at a time, and a switch of threads (a release and an acquisition of the
// lock) orders its memory accesses. Interior mutability is by `Cell` and `RefCell`, whose borrows end
// before Python code can run.
unsafe impl<T> Send for ByInterpreterLock<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for ByInterpreterLock<T> {}

impl<T> ByInterpreterLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for ByInterpreterLock<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

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

/// This thread, as `threading.get_ident()` names it.
#[inline]
pub(crate) fn thread_identifier() -> u64 {
    // SAFETY: callable from any thread at any time.
    unsafe { ffi::PyThread_get_thread_ident() as u64 }
}
