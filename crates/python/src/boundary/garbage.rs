//! Handles that the loop owns are hidden from the garbage collector.
//!
//! A handle among the timers, or in debug mode in the ready queue, is reachable, so looking at it is wasted: a hundred
//! thousand timers would be walked again and again by every collection of young objects. Such a handle is taken out of
//! the collector's lists when it is queued and put back when it leaves the queue, if anybody else holds it by then.
//!
//! What a hidden handle refers to looks referenced from outside, so it stays alive: the safe side. For a loop
//! that is itself garbage, with handles in its queue, that would be a leak. So the loop's own traversal looks
//! through a hidden handle that only the queue holds, as if its references were the loop's. One that somebody else
//! holds as well is not looked through: what it refers to may be in use.
#![expect(unsafe_code, reason = "the collector's lists have no safe wrapper")]

use pyo3::PyClass;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::boundary::object::Instance;

/// Hides an object that the loop's queue holds from now on.
#[inline]
pub(crate) fn hide<T: PyClass>(object: &Bound<'_, T>) {
    // SAFETY: an instance of a class with `__traverse__`, so it has the collector's head; untracking twice is allowed.
    unsafe { ffi::PyObject_GC_UnTrack(object.as_ptr().cast()) };
}

/// Shows an object again that has left the queue, unless it dies with the reference that `object` is.
#[inline]
pub(crate) fn show<T: PyClass>(object: &Bound<'_, T>) {
    let object = object.as_ptr();
    // SAFETY: as in `hide`; it is alive, and tracked only if it was not.
    unsafe {
        if ffi::Py_REFCNT(object) > 1 && ffi::PyObject_GC_IsTracked(object) == 0 {
            ffi::PyObject_GC_Track(object.cast());
        }
    }
}

/// Whether an object is hidden and nobody but the queue holds it.
pub(crate) fn is_ours_alone<T: PyClass>(object: &Instance<T>) -> bool {
    let object = object.object().as_ptr();
    // SAFETY: alive through the reference; both only read its head.
    unsafe { ffi::PyObject_GC_IsTracked(object) == 0 && ffi::Py_REFCNT(object) == 1 }
}
