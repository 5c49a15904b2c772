//! The raw method boundary: FASTCALL methods attached to the types that PyO3 made.
//!
//! PyO3 gives a method its keyword names as parsed arguments, never as the caller's own tuple, and builds a
//! tuple for `*args`. The few methods that run per callback or per packet therefore are plain C methods. Here
//! is all that they need: how they are attached, and how a Rust outcome (a panic included) becomes what C
//! expects.
#![expect(unsafe_code, reason = "the C calling convention of Python methods")]

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::PyClass;
use pyo3::exceptions::{PySystemError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::boundary::object::Object;

/// The positional and keyword arguments of one call, borrowed from the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Args<'a> {
    /// The positional arguments, then a value for each keyword.
    all: &'a [*mut ffi::PyObject],
    positional: &'a [*mut ffi::PyObject],
    keywords: &'a [*mut ffi::PyObject],
    names: *mut ffi::PyObject,
}

impl<'a> Args<'a> {
    /// # Safety
    ///
    /// The arguments are those with which Python has called a FASTCALL|KEYWORDS method, during that call.
    #[inline]
    unsafe fn new(args: *const *mut ffi::PyObject, count: isize, names: *mut ffi::PyObject) -> Self {
        let count = usize::try_from(count).unwrap_or(0);
        let keyword_count = if names.is_null() {
            0
        } else {
            // SAFETY: not null, so a tuple by the calling convention.
            usize::try_from(unsafe { ffi::PyTuple_GET_SIZE(names) }).unwrap_or(0)
        };
        if args.is_null() || count + keyword_count == 0 {
            return Self { all: &[], positional: &[], keywords: &[], names };
        }
        // SAFETY: the convention: `args` holds the positional arguments, then one value per name.
        let all = unsafe { std::slice::from_raw_parts(args, count + keyword_count) };
        let (positional, keywords) = all.split_at(count);
        Self { all, positional, keywords, names }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.positional.len()
    }

    /// The tuple of keyword names that the caller passed: its address says who calls.
    #[inline]
    pub(crate) fn names(&self) -> *mut ffi::PyObject {
        self.names
    }

    #[inline]
    pub(crate) fn positional(&self, py: Python<'_>, index: usize) -> Option<Object> {
        // SAFETY: arguments are not null, and alive during the call.
        self.positional.get(index).map(|&ptr| unsafe { Object::from_borrowed(py, ptr) })
    }

    #[inline]
    pub(crate) fn keyword_value(&self, py: Python<'_>, index: usize) -> Option<Object> {
        // SAFETY: as `positional`.
        self.keywords.get(index).map(|&ptr| unsafe { Object::from_borrowed(py, ptr) })
    }

    /// Names and values of the keyword arguments.
    pub(crate) fn keywords<'py>(
        &self,
        py: Python<'py>,
    ) -> impl Iterator<Item = (Bound<'py, PyAny>, Object)> + use<'py, 'a> {
        let names = self.names;
        self.keywords.iter().enumerate().map(move |(index, &value)| {
            // SAFETY: there is one name per value, and the tuple is alive during the call.
            let name = unsafe {
                let name = ffi::PyTuple_GET_ITEM(names, isize::try_from(index).unwrap_or(0));
                Bound::from_borrowed_ptr(py, name)
            };
            // SAFETY: as `positional`.
            (name, unsafe { Object::from_borrowed(py, value) })
        })
    }

    /// Calls something with these very arguments.
    #[inline]
    pub(crate) fn pass_to(&self, py: Python<'_>, callable: &Object) -> PyResult<Object> {
        let (callable, count) = (callable.as_ptr(), self.positional.len());
        // SAFETY: the callable is alive, and so are the arguments: a value for each name follows the positional ones.
        unsafe {
            let answer = ffi::PyObject_Vectorcall(callable, self.all.as_ptr(), count, self.names);
            Object::from_owned(py, answer)
        }
    }

    /// A tuple of the positional arguments from `start` on.
    pub(crate) fn tuple_from(&self, py: Python<'_>, start: usize) -> PyResult<Object> {
        let rest = self.positional.get(start..).unwrap_or_default();
        // SAFETY: a new tuple, filled completely before anything can see it; each item is a new reference.
        unsafe {
            let tuple = Object::from_owned(py, ffi::PyTuple_New(isize::try_from(rest.len())?))?;
            for (index, &item) in rest.iter().enumerate() {
                ffi::Py_INCREF(item);
                ffi::PyTuple_SET_ITEM(tuple.as_ptr(), isize::try_from(index)?, item);
            }
            Ok(tuple)
        }
    }
}

/// What a raw method gets: its receiver and its arguments.
pub(crate) type Body<T> = for<'py> fn(Python<'py>, &Bound<'py, T>, Args<'_>) -> PyResult<Object>;

/// A raw method of a class. Implemented by unit types, so that each gets a C function of its own.
pub(crate) trait RawMethod {
    type Class;
    const NAME: &'static CStr;
    const DOC: &'static CStr;
    const BODY: Body<Self::Class>;
}

/// Raw methods by their types: class, name, function, and documentation in Python's form.
macro_rules! raw_methods {
    ($($type:ident, $class:ty, $name:literal, $body:path, $doc:literal;)+) => {
        $(
            struct $type;
            impl $crate::boundary::method::RawMethod for $type {
                type Class = $class;
                const NAME: &'static std::ffi::CStr = $name;
                const DOC: &'static std::ffi::CStr = $doc;
                const BODY: $crate::boundary::method::Body<$class> = $body;
            }
        )+
    };
}
pub(crate) use raw_methods;

/// Attaches a method to its class.
pub(crate) fn attach<M: RawMethod<Class: PyClass>>(py: Python<'_>) -> PyResult<()> {
    attach_at::<M>(&py.get_type::<M::Class>())
}

/// Attaches a method to a class that Python code has made.
pub(crate) fn attach_to<M: RawMethod<Class = PyAny>>(class: &Bound<'_, PyType>) -> PyResult<()> {
    attach_at::<M>(class)
}

fn attach_at<M: RawMethod>(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    // The definition must outlive the type, which lives as long as the process.
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: M::NAME.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: trampoline::<M> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: M::DOC.as_ptr(),
    }));
    // SAFETY: the type is alive, and the definition is for ever.
    let descriptor =
        unsafe { Object::from_owned(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition))? };
    class.setattr(M::NAME.to_string_lossy().as_ref(), descriptor.bind(py))
}

unsafe extern "C" fn trampoline<M: RawMethod>(
    receiver: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls methods attached.
    let py = unsafe { Python::assume_attached() };
    // What comes out is one pointer: an outcome of Rust's own is several words, which would be copied on the way.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the method descriptor has checked that the receiver is an instance of the class
        // that it was attached to: `Class` itself, or any where that is `PyAny`.
        let receiver = unsafe { Borrowed::from_ptr(py, receiver).cast_unchecked::<M::Class>() };
        // SAFETY: these are the arguments of this very call.
        match (M::BODY)(py, &receiver, unsafe { Args::new(args, count, names) }) {
            Ok(object) => object.into_ptr(),
            Err(error) => raise(py, error),
        }
    }));
    outcome.unwrap_or_else(|_| {
        raise(py, PySystemError::new_err("a bug in ourio: please report it with the message on stderr"))
    })
}

#[cold]
fn raise(py: Python<'_>, error: PyErr) -> *mut ffi::PyObject {
    error.restore(py);
    std::ptr::null_mut()
}

/// The argument of a method that takes exactly one, by position or by name.
pub(crate) fn one_argument(py: Python<'_>, args: Args<'_>, method: &str, name: &str) -> PyResult<Object> {
    let named = args.keywords(py).find(|(keyword, _)| keyword.extract::<&str>().is_ok_and(|k| k == name));
    match (args.len(), args.positional(py, 0), named) {
        (1, Some(data), None) | (0, None, Some((_, data))) => Ok(data),
        (count, ..) => {
            Err(PyTypeError::new_err(format!("{method}() takes exactly one argument ({count} given)")))
        }
    }
}

/// The arguments of a method of ours that only our own code calls.
pub(crate) fn two_arguments(py: Python<'_>, args: Args<'_>) -> PyResult<(Object, Object)> {
    match (args.positional(py, 0), args.positional(py, 1)) {
        (Some(first), Some(second)) => Ok((first, second)),
        _ => Err(PyTypeError::new_err("two arguments are needed")),
    }
}

/// Refuses any argument.
pub(crate) fn no_arguments(name: &str, args: Args<'_>) -> PyResult<()> {
    if args.len() == 0 && args.names().is_null() {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!("{name}() takes no arguments ({} given)", args.len())))
}

/// What Python says where an argument was not given.
pub(crate) fn missing(name: &str, argument: &str) -> PyErr {
    PyTypeError::new_err(format!("{name}() missing 1 required positional argument: '{argument}'"))
}
