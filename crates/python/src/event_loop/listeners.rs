//! `add_reader` and its relatives, and waits for one event; and how an event is delivered.

use ourio_engine::IoEvent;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyTuple};

use crate::boundary::context;
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::event_loop::registering;
use crate::event_loop::registrations::{Listener, Side};
use crate::event_loop::transports;
use crate::queue::call_soon::source_traceback;
use crate::queue::callback::{Arguments, Callback};
use crate::queue::handle::Handle;

/// A descriptor as `selectors` accepts it: a number, or an object with `fileno()`.
#[derive(Debug, Clone, Copy)]
struct Descriptor(i32);

impl<'py> FromPyObject<'_, 'py> for Descriptor {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let number = if object.is_instance_of::<PyInt>() {
            object.extract()
        } else {
            object.call_method0("fileno").and_then(|number| number.extract())
        };
        let invalid = |_| match object.repr() {
            Ok(text) => PyValueError::new_err(format!("Invalid file object: {text}")),
            Err(error) => error,
        };
        match number.map_err(invalid)? {
            number if number < 0 => Err(PyValueError::new_err(format!("Invalid file descriptor: {number}"))),
            number => Ok(Self(number)),
        }
    }
}

/// Delivers an event, if its registration still stands.
#[inline]
pub(crate) fn deliver(slf: &Bound<'_, Loop>, event: IoEvent) -> PyResult<()> {
    if let Some((owner, ready)) = registering::owner(slf, event.token) {
        return ready(slf, &owner, event.readiness);
    }
    let py = slf.py();
    let listeners = registering::take_listeners(slf, event);
    for listener in listeners.into_iter().flatten() {
        match listener {
            Listener::Handle(handle) => {
                let handle = handle.bind(py);
                Handle::run_by_loop(handle, slf.as_super())?;
            }
            Listener::Waiter(future) => {
                let future = future.bind(py);
                if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
                    future.call_method1(intern!(py, "set_result"), (py.None(),))?;
                }
            }
        }
    }
    Ok(())
}

#[pymethods]
impl Loop {
    #[pyo3(signature = (fd, callback, *args, context = None))]
    fn _add_reader<'py>(
        slf: &Bound<'py, Self>,
        fd: Descriptor,
        callback: Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Handle>> {
        add(slf, fd.0, Side::Read, callback, args, context)
    }

    #[pyo3(signature = (fd, callback, *args, context = None))]
    fn _add_writer<'py>(
        slf: &Bound<'py, Self>,
        fd: Descriptor,
        callback: Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Handle>> {
        add(slf, fd.0, Side::Write, callback, args, context)
    }

    fn _remove_reader(slf: &Bound<'_, Self>, fd: Descriptor) -> PyResult<bool> {
        remove(slf, fd.0, Side::Read)
    }

    fn _remove_writer(slf: &Bound<'_, Self>, fd: Descriptor) -> PyResult<bool> {
        remove(slf, fd.0, Side::Write)
    }
}

fn add<'py>(
    slf: &Bound<'py, Loop>,
    fd: i32,
    side: Side,
    function: Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    given: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, Handle>> {
    let (py, scheduler) = (slf.py(), slf.as_super());
    scheduler.get().check_closed()?;
    let callback = Callback {
        function: function.into(),
        arguments: Arguments::from_tuple(py, args),
        context: Some(context::given_or_copy(py, given.map(Object::from))?),
    };
    let source_traceback = source_traceback(py, scheduler.get())?;
    let handle = Bound::new(py, Handle::new(scheduler, callback, source_traceback))?;
    put(slf, fd, side, Listener::Handle(handle.clone().into()))?;
    Ok(handle)
}

/// Puts a listener in its place. asyncio: whoever waited there waits for ever.
fn put(slf: &Bound<'_, Loop>, fd: i32, side: Side, listener: Listener) -> PyResult<()> {
    match registering::listen(slf, fd, side, listener)? {
        Some(Listener::Handle(replaced)) => replaced.bind(slf.py()).call_method0("cancel").map(drop),
        Some(Listener::Waiter(_)) | None => Ok(()),
    }
}

/// A future that is done when a side of a descriptor is ready.
pub(crate) fn wait(slf: &Bound<'_, Loop>, fd: i32, side: Side) -> PyResult<Object> {
    let py = slf.py();
    slf.as_super().get().check_closed()?;
    transports::refuse_if_used(slf, fd.into_pyobject(py)?.as_any(), fd)?;
    if fd < 0 {
        return Err(PyValueError::new_err(format!("Invalid file descriptor: {fd}")));
    }
    let future = slf.call_method0(intern!(py, "create_future"))?;
    put(slf, fd, side, Listener::Waiter(future.clone().into()))?;
    Ok(future.into())
}

/// Ends the wait of a future.
pub(crate) fn stop_waiting(slf: &Bound<'_, Loop>, fd: i32, future: &Bound<'_, PyAny>) {
    if let Some(side) = registering::side_of_waiter(slf, fd, future) {
        let removed = registering::stop_listening(slf, fd, side);
        drop(removed);
    }
}

fn remove(slf: &Bound<'_, Loop>, fd: i32, side: Side) -> PyResult<bool> {
    if slf.as_super().get().check_closed().is_err() {
        return Ok(false);
    }
    match registering::stop_listening(slf, fd, side) {
        None => Ok(false),
        Some(Listener::Waiter(_)) => Ok(true),
        Some(Listener::Handle(handle)) => {
            handle.bind(slf.py()).call_method0("cancel")?;
            Ok(true)
        }
    }
}
