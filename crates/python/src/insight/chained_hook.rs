//! `ChainedHook`: a listener in front of a function of the interpreter's own, which must not notice it.

use pyo3::PyTraverseError;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;

use crate::boundary::object::Object;

/// Two functions called one after the other with the same argument, without a frame of Python's in between.
///
/// What the first raises goes to `sys.unraisablehook`.
#[pyclass(module = "ourio._ourio", frozen)]
#[derive(Debug)]
pub(crate) struct ChainedHook {
    first: Object,
    second: Object,
}

#[pymethods]
impl ChainedHook {
    #[new]
    fn new(first: Bound<'_, PyAny>, second: Bound<'_, PyAny>) -> Self {
        Self { first: first.into(), second: second.into() }
    }

    fn __call__<'py>(&self, argument: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = argument.py();
        if let Err(error) = self.first.bind(py).call1((argument,)) {
            error.write_unraisable(py, Some(self.first.bind(py)));
        }
        self.second.bind(py).call1((argument,))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.first.as_py())?;
        visit.call(self.second.as_py())
    }
}
