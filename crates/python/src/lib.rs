//! `ourio._ourio`: the native half of the Python package `ourio`. This file is only the list.

mod boundary;
mod datagram;
mod event_loop;
mod executor;
mod held;
mod insight;
mod queue;
mod server;
mod sock_calls;
mod socket;
mod stream;
mod tls;

use pyo3::prelude::*;

/// The native half of `ourio`; its public names are re-exported by the package.
#[pymodule(gil_used = true)]
fn _ourio(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    boundary::lock::_check_interpreter(py)?;
    boundary::names::import(py)?;
    socket::descriptor::probe(py)?;
    queue::elision::capture_keyword_names(py)?;
    module.add_class::<queue::scheduler::Scheduler>()?;
    module.add_class::<event_loop::class::Loop>()?;
    module.add_class::<queue::handle::Handle>()?;
    module.add_class::<queue::handle::TimerHandle>()?;
    module.add_class::<queue::handle::ThreadSafeHandle>()?;
    module.add_class::<stream::transport::StreamTransport>()?;
    module.add_class::<insight::stall_watch::StallWatch>()?;
    module.add_class::<insight::chained_hook::ChainedHook>()?;
    module.add_class::<executor::work_queue::WorkQueue>()?;
    module.add_class::<insight::monitor::Monitor>()?;
    module.add_function(wrap_pyfunction!(insight::monitor::_socket_of, module)?)?;
    module.add_function(wrap_pyfunction!(insight::monitor::_top, module)?)?;
    module.add_function(wrap_pyfunction!(insight::monitor::_picture, module)?)?;
    module.add_function(wrap_pyfunction!(boundary::lock::_check_interpreter, module)?)?;
    module.add_function(wrap_pyfunction!(insight::pending_call::_set_pending_call, module)?)?;
    module.add_function(wrap_pyfunction!(insight::pending_call::_renew_pending_calls, module)?)?;
    module.add_function(wrap_pyfunction!(executor::jobs::_renew_work_queues, module)?)?;
    module.add_function(wrap_pyfunction!(insight::stall_watch::_own_delay, module)?)?;
    module.add_function(wrap_pyfunction!(insight::stall_watch::_state_of, module)?)?;
    module.add_function(wrap_pyfunction!(datagram::_add_datagram_methods, module)?)?;
    module.add_function(wrap_pyfunction!(stream::tls_transport::_add_tls_methods, module)?)?;
    queue::call_soon::add_methods(py)?;
    queue::tasks::add_methods(py)?;
    sock_calls::add_methods(py)?;
    stream::writing::add_methods(py)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
