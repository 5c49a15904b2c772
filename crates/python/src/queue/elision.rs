//! Handle elision: how C `_asyncio` is told from others that call `call_soon`.
//!
//! It calls `loop.call_soon(func[, arg], context=ctx)` for every task step and every future
//! callback, always with its own constant tuple of keyword names, and throws the result away. Nobody else
//! has that tuple, so its address, captured at import, says that no handle is needed. Debug mode takes the
//! ordinary way, as it wants to name what runs; so does a foreign thread, by asyncio's own rule.

use std::cell::Cell;
use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::boundary::lock::LockBound;
use crate::boundary::method::{self, Args, raw_methods};
use crate::boundary::names::names;
use crate::boundary::object::Object;

/// The address of `_asyncio`'s tuple of keyword names; zero if it has none.
static ASYNCIO_KEYWORDS: OnceLock<usize> = OnceLock::new();

/// A loop that only listens to how C `_asyncio` calls it.
#[pyclass(frozen)]
struct Eavesdropper {
    names: LockBound<Cell<usize>>,
}

#[pymethods]
impl Eavesdropper {
    fn get_debug(&self) -> bool {
        false
    }
}

raw_methods! {
    Eavesdrop, Eavesdropper, c"call_soon", eavesdrop, c"";
}

/// Lets a future call an eavesdropper once, to learn the address of `_asyncio`'s keyword names.
pub(crate) fn capture_keyword_names(py: Python<'_>) -> PyResult<()> {
    method::attach::<Eavesdrop>(py)?;
    let eavesdropper = Bound::new(py, Eavesdropper { names: LockBound::new(Cell::new(0)) })?;
    let keywords = PyDict::new(py);
    keywords.set_item("loop", &eavesdropper)?;
    let future = names()?.future.bind(py).call((), Some(&keywords))?;
    future.call_method1("add_done_callback", (py.get_type::<Eavesdropper>(),))?;
    future.call_method1("set_result", (py.None(),))?;
    // An interpreter whose futures are written in Python passes names of its own each time: then none match.
    let accelerated = py.import("asyncio.futures")?.getattr("_CFuture").is_ok();
    let names = if accelerated { eavesdropper.get().names.get() } else { 0 };
    let _ = ASYNCIO_KEYWORDS.set(names);
    Ok(())
}

fn eavesdrop(_py: Python<'_>, slf: &Bound<'_, Eavesdropper>, args: Args<'_>) -> PyResult<Object> {
    slf.get().names.set(args.names().addr());
    Ok(names()?.none.clone_ref(slf.py()))
}

/// Whether a call comes from `_asyncio`: it wants no handle.
#[inline]
pub(crate) fn is_of_asyncio(args: Args<'_>) -> bool {
    !args.names().is_null() && Some(&args.names().addr()) == ASYNCIO_KEYWORDS.get()
}
