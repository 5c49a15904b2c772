//! A pending call: something of ours that the interpreter's main thread runs between two of its instructions.
//!
//! While native code keeps the interpreter's lock, nobody can look at the stack of the thread that called it; and when
//! it is done, the lock goes to any of those who wait. But before a thread hands it over, it runs what is pending: there
//! the stack is still that of the call. So whoever sees a stall, in a thread without Python, asks for that.
//!
//! Before 3.13, asking does not by itself make the interpreter look for what is pending: that somebody waits for the
//! lock does, as the watchdog's thread does once its bell was rung. And the lock may be handed over as our function
//! begins, of which the interpreter sees only then that it is Python: the main thread's stack is still that of the call.
//!
//! Asking takes no lock, but the interpreter must not be gone. It says when it is about to go (`atexit`); from then on
//! nobody asks, and who is asking is waited for.
#![expect(
    unsafe_code,
    reason = "the interpreter is asked without its lock, by a function that has no safe wrapper"
)]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::boundary::lock::LockBound;
use crate::boundary::object::Object;

/// What is run: set once.
static FUNCTION: OnceLock<LockBound<Object>> = OnceLock::new();
/// Whether the interpreter may be asked.
static OPEN: AtomicBool = AtomicBool::new(false);
/// How many threads are asking.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// Sets the function that is run, without arguments, in the main thread, where its exceptions are raised; and has the end of the interpreter told to us.
#[pyfunction]
pub(crate) fn _set_pending_call(function: Bound<'_, PyAny>) -> PyResult<()> {
    let py = function.py();
    if FUNCTION.set(LockBound::new(function.into())).is_ok() {
        let close = wrap_pyfunction!(_close_pending_calls, py)?;
        py.import("atexit")?.call_method1("register", (close,))?;
        OPEN.store(true, Ordering::SeqCst);
    }
    Ok(())
}

/// For the end of the interpreter: nobody asks for a call any more.
#[pyfunction]
fn _close_pending_calls() {
    OPEN.store(false, Ordering::SeqCst);
    while INSIDE.load(Ordering::SeqCst) > 0 {
        thread::yield_now();
    }
}

/// For a forked process, which has none of the threads that may have been asking.
#[pyfunction]
pub(crate) fn _renew_pending_calls() {
    INSIDE.store(0, Ordering::SeqCst);
}

/// Asks the interpreter for the call, from any thread. Nothing is promised: the main thread may run no instruction for
/// long, or be another than the one that is looked at.
pub(crate) fn ask() {
    // Both before the question and after it in the one order of such operations: the end waits for us, or we see it.
    INSIDE.fetch_add(1, Ordering::SeqCst);
    if OPEN.load(Ordering::SeqCst) {
        // SAFETY: may be called without the interpreter's lock, while there is an interpreter: it is not taken down
        // before `_close_pending_calls` has returned, which waits for us. The function is never unloaded.
        let refused = unsafe { ffi::Py_AddPendingCall(Some(run), ptr::null_mut()) };
        // There is place for some dozens, of which one is enough.
        let _ = refused;
    }
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

/// Runs in the main thread, which has the interpreter's lock. What comes out of it is the program's: a handler of a
/// signal may run meanwhile, and raise.
extern "C" fn run(_: *mut c_void) -> c_int {
    // What was asked for just before the end would run among modules that are taken apart.
    if !OPEN.load(Ordering::SeqCst) {
        return 0;
    }
    let outcome = Python::try_attach(|py| match FUNCTION.get().map(|function| function.bind(py).call0()) {
        Some(Err(error)) => {
            error.restore(py);
            -1
        }
        _ => 0,
    });
    outcome.unwrap_or(0)
}
