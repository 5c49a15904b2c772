//! What waits, as handles, for those who look: `loop._ready` and `loop._scheduled`.

use pyo3::prelude::*;

use crate::queue::entry::Entry;
use crate::queue::ready_callback::ReadyCallback;
use crate::queue::scheduler::Scheduler;

/// The handles of the timers that wait.
pub(crate) fn waiting_handles<'py>(slf: &Bound<'py, Scheduler>) -> Vec<Bound<'py, PyAny>> {
    let py = slf.py();
    let engine = slf.get().engine().borrow();
    let handles = engine.waiting_entries().filter_map(|entry| match entry {
        Entry::Handle(handle) => Some(handle.bind(py).clone().into_any()),
        _ => None,
    });
    handles.collect()
}

/// What is ready, each as a handle.
pub(crate) fn ready_handles<'py>(slf: &Bound<'py, Scheduler>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = slf.py();
    // Handles are made when nothing is borrowed.
    let ready: Vec<_> =
        slf.get().engine().borrow().ready_entries().filter_map(|entry| ready(py, entry)).collect();
    let handle = |ready| match ready {
        Ready::Handle(handle) => Ok(handle),
        Ready::Callback(callback) => callback.handle(slf),
    };
    ready.into_iter().map(handle).collect()
}

/// What is ready, apart from the queue.
enum Ready<'py> {
    Handle(Bound<'py, PyAny>),
    Callback(ReadyCallback),
}

fn ready<'py>(py: Python<'py>, entry: &Entry) -> Option<Ready<'py>> {
    Some(match entry {
        Entry::Handle(handle) => Ready::Handle(handle.bind(py).clone().into_any()),
        Entry::ThreadSafe(handle) => Ready::Handle(handle.bind(py).clone().into_any()),
        Entry::Foreign(handle) => Ready::Handle(handle.bind(py).clone()),
        Entry::Callback(callback) => Ready::Callback(callback.clone_ref(py)),
        Entry::Step { .. } | Entry::Cancelled | Entry::Event(_) => return None,
    })
}
