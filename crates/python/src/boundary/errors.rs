//! Rust errors to Python exceptions: asyncio's types and words. The one place where it happens.

use ourio_engine::{Error, Misuse};
use ourio_transport::{LimitsError, WriteAfterEof};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyRuntimeError, PySystemExit, PyValueError};
use pyo3::prelude::*;

/// asyncio: what a closed loop says to everything.
pub(crate) fn loop_closed() -> PyErr {
    PyRuntimeError::new_err("Event loop is closed")
}

/// The loop ran in the process that this one was forked from.
pub(crate) fn orphaned() -> PyErr {
    PyRuntimeError::new_err(
        "This event loop was running when its process was forked; the child has to run a loop of its own",
    )
}

/// An engine's error.
pub(crate) fn engine(error: &Error) -> PyErr {
    match error {
        // OSError picks its subclass (BlockingIOError, ConnectionResetError, ...) by the code.
        Error::System { source, .. } => os(source.raw_os_error().unwrap_or(0)),
        Error::Misuse(Misuse::NegativeDescriptor(fd)) => {
            PyValueError::new_err(format!("Invalid file descriptor: {fd}"))
        }
        Error::Closed => loop_closed(),
        other => PyRuntimeError::new_err(other.to_string()),
    }
}

/// An error code of the kernel, with its usual words.
pub(crate) fn os(code: i32) -> PyErr {
    let text = Python::attach(|py| {
        let words = py.import("os")?.call_method1("strerror", (code,))?;
        words.extract::<String>()
    });
    PyOSError::new_err((code, text.unwrap_or_default()))
}

/// Marks of flow control that contradict each other.
pub(crate) fn limits(error: LimitsError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// A write after `write_eof`.
pub(crate) fn write_after_eof(error: WriteAfterEof) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// Whether an exception ends the loop instead of being reported: SystemExit and KeyboardInterrupt.
pub(crate) fn ends_the_loop(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}
