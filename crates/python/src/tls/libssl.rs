//! OpenSSL's functions, raw, as they are declared in its manual; [`Session`](super::session::Session) is their safe face.
//!
//! They are looked up in the very libraries that the module `_ssl` is linked to; where it is linked statically they are
//! hidden, and there are none.
#![expect(unsafe_code, reason = "the functions of a library that Python has loaded")]

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;

use pyo3::prelude::*;

pub(super) type Read = unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int;
pub(super) type Write = unsafe extern "C" fn(*mut c_void, *const c_void, c_int) -> c_int;
pub(super) type GetError = unsafe extern "C" fn(*const c_void, c_int) -> c_int;
pub(super) type Pending = unsafe extern "C" fn(*const c_void) -> c_int;
pub(super) type ClearError = unsafe extern "C" fn();
pub(super) type BioPending = unsafe extern "C" fn(*mut c_void) -> usize;

/// The functions, all of them stable since OpenSSL 1.1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Functions {
    pub(super) read: Read,
    pub(super) write: Write,
    pub(super) get_error: GetError,
    pub(super) pending: Pending,
    pub(super) clear_error: ClearError,
    pub(super) bio_read: Read,
    pub(super) bio_write: Write,
    pub(super) bio_pending: BioPending,
}

pub(super) const ERROR_WANT_READ: c_int = 2;
pub(super) const ERROR_WANT_WRITE: c_int = 3;
pub(super) const ERROR_ZERO_RETURN: c_int = 6;

/// Finds OpenSSL's functions, once.
pub(super) fn functions(py: Python<'_>) -> Option<&'static Functions> {
    static FOUND: OnceLock<Option<Functions>> = OnceLock::new();
    FOUND.get_or_init(|| find(py)).as_ref()
}

fn find(py: Python<'_>) -> Option<Functions> {
    let path: String = py.import("_ssl").ok()?.getattr("__file__").ok()?.extract().ok()?;
    let path = CString::new(path).ok()?;
    // SAFETY: the library is loaded already, as its module is imported: nothing new is initialised. It is never
    // unloaded, as CPython unloads no extension.
    let library = NonNull::new(unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY) })?;
    let symbol = |name: &CStr| {
        // SAFETY: a handle from dlopen; the search goes through the library's own dependencies.
        NonNull::new(unsafe { libc::dlsym(library.as_ptr(), name.as_ptr()) })
    };
    /// A macro, as each function has a type of its own.
    macro_rules! function {
        ($name:literal, $type:ty) => {{
            let found = symbol($name)?;
            // SAFETY: the symbol is what OpenSSL's manual declares under this name, which is `$type`.
            unsafe { std::mem::transmute::<NonNull<c_void>, $type>(found) }
        }};
    }
    Some(Functions {
        read: function!(c"SSL_read", Read),
        write: function!(c"SSL_write", Write),
        get_error: function!(c"SSL_get_error", GetError),
        pending: function!(c"SSL_pending", Pending),
        clear_error: function!(c"ERR_clear_error", ClearError),
        bio_read: function!(c"BIO_read", Read),
        bio_write: function!(c"BIO_write", Write),
        bio_pending: function!(c"BIO_ctrl_pending", BioPending),
    })
}
