//! Owned Python references for the hot path, and the calls that are made on them.
//!
//! `pyo3::Py` asks on every drop whether the thread is attached, as it may be dropped anywhere. An
//! [`Object`] may not: it is dropped attached, always, and so costs one decrement. It is what entries
//! of the ready queue are made of.
#![expect(unsafe_code, reason = "reference counts and calls without pyo3's per-call bookkeeping")]

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use pyo3::impl_::pyclass::PyClassImpl;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::PyTuple;
use pyo3::{PyClass, ffi};

/// An owned reference that is created, used and dropped by attached threads only.
pub(crate) struct Object(ManuallyDrop<Py<PyAny>>);

impl Object {
    /// Takes over an owned reference; the pending exception if it is null.
    ///
    /// # Safety
    ///
    /// `ptr` is null with an exception set, or owned by the caller, who gives it up.
    #[inline]
    pub(crate) unsafe fn from_owned(py: Python<'_>, ptr: *mut ffi::PyObject) -> PyResult<Self> {
        // SAFETY: the caller's promise is the callee's.
        unsafe { Bound::from_owned_ptr_or_err(py, ptr) }.map(Self::from)
    }

    /// Takes a new reference to a borrowed object.
    ///
    /// # Safety
    ///
    /// `ptr` is not null and alive.
    #[inline]
    pub(crate) unsafe fn from_borrowed(py: Python<'_>, ptr: *mut ffi::PyObject) -> Self {
        // SAFETY: the caller's promise is the callee's.
        unsafe { Bound::from_borrowed_ptr(py, ptr) }.into()
    }

    #[inline]
    pub(crate) fn bind<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.0.bind(py)
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }

    /// Gives the reference away.
    #[inline]
    pub(crate) fn into_ptr(self) -> *mut ffi::PyObject {
        let this = ManuallyDrop::new(self);
        this.0.as_ptr()
    }

    #[inline]
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        self.bind(py).clone().into()
    }

    /// For `__traverse__`.
    pub(crate) fn as_py(&self) -> &Py<PyAny> {
        &self.0
    }

    /// Calls it without arguments.
    #[inline]
    pub(crate) fn call0(&self, py: Python<'_>) -> PyResult<Self> {
        // SAFETY: the callable is alive for as long as `self`; the result is owned or null with an error.
        unsafe { Self::from_owned(py, ffi::PyObject_CallNoArgs(self.as_ptr())) }
    }

    /// Calls it with one argument.
    #[inline]
    pub(crate) fn call1(&self, py: Python<'_>, arg: &Self) -> PyResult<Self> {
        // SAFETY: as `call0`, and the argument outlives the call.
        unsafe { Self::from_owned(py, ffi::PyObject_CallOneArg(self.as_ptr(), arg.as_ptr())) }
    }

    /// Calls it with two arguments.
    #[inline]
    pub(crate) fn call2(&self, py: Python<'_>, first: &Self, second: &Self) -> PyResult<Self> {
        let args = [first.as_ptr(), second.as_ptr()];
        // SAFETY: as `call1`; no keywords is null.
        unsafe {
            let answer =
                ffi::PyObject_Vectorcall(self.as_ptr(), args.as_ptr(), args.len(), std::ptr::null_mut());
            Self::from_owned(py, answer)
        }
    }

    /// Calls it with the elements of a tuple.
    #[inline]
    pub(crate) fn call(&self, py: Python<'_>, args: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let (count, args) = (args.len(), args.as_ptr());
        // SAFETY: as `call1`; a tuple's items lie behind its head, and it outlives the call. No keywords is null.
        unsafe {
            let items =
                (&raw const (*args.cast::<ffi::PyTupleObject>()).ob_item).cast::<*mut ffi::PyObject>();
            let answer = ffi::PyObject_Vectorcall(self.as_ptr(), items, count, std::ptr::null_mut());
            Self::from_owned(py, answer)
        }
    }
}

impl Drop for Object {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: an `Object` is dropped by an attached thread (see the module's text), and the reference
        // is owned and not used after this.
        unsafe { ffi::Py_DECREF(self.0.as_ptr()) }
    }
}

impl<T> From<Bound<'_, T>> for Object {
    #[inline]
    fn from(bound: Bound<'_, T>) -> Self {
        Self(ManuallyDrop::new(bound.into_any().unbind()))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Object").field(&self.as_ptr()).finish()
    }
}

/// An owned reference to an instance of one of our classes, dropped attached as every [`Object`].
#[derive(Debug)]
pub(crate) struct Instance<T> {
    object: Object,
    class: PhantomData<T>,
}

impl<T> Instance<T> {
    #[inline]
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }
}

impl<T: PyClass> Instance<T> {
    #[inline]
    pub(crate) fn bind<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, T> {
        // SAFETY: the only constructor takes an instance of the class.
        unsafe { self.object.bind(py).cast_unchecked::<T>() }
    }

    /// The same reference, for what needs no token.
    pub(crate) fn as_py(&self) -> &Py<T> {
        let object: *const Py<PyAny> = self.object.as_py();
        // SAFETY: `Py<T>` is one pointer whatever `T` is, and the object is an instance of `T`, as in `bind`.
        unsafe { &*object.cast::<Py<T>>() }
    }
}

impl<T: PyClass<Frozen = True> + Sync> Instance<T> {
    /// What is in it, for `__traverse__`, which has no token.
    pub(crate) fn get(&self) -> &T {
        self.as_py().get()
    }
}

impl<T, B> Instance<T>
where
    T: PyClass + PyClassImpl<BaseType = B>,
    B: PyClass<Frozen = True> + Sync,
{
    /// What is in it as an instance of its class's base.
    pub(crate) fn get_base(&self) -> &B {
        let object: *const Py<PyAny> = self.object.as_py();
        // SAFETY: as in `as_py`; an instance of `T` is one of its base `B`, which begins where it does.
        unsafe { &*object.cast::<Py<B>>() }.get()
    }
}

impl<T> From<Bound<'_, T>> for Instance<T> {
    #[inline]
    fn from(bound: Bound<'_, T>) -> Self {
        Self { object: bound.into(), class: PhantomData }
    }
}
