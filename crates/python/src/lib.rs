//! `ourio._ourio`: the native half of the Python package `ourio`. This file is only the list.

mod accept;
mod address;
mod arrivals;
mod callback;
mod chunk;
mod context;
mod datagram;
mod entry;
mod error;
mod event_loop;
mod garbage;
mod gil;
mod handle;
mod handover;
mod heap;
mod in_turn;
mod known;
mod method;
mod monitor;
mod object;
mod openssl;
mod outgoing;
mod pending_call;
mod posted;
mod recording;
mod schedule;
mod sock_calls;
mod socket;
mod stream;
mod stream_io;
mod tables;
mod ticks;
mod tls;
mod turn;
mod watch;
mod watchdog;
mod work_queue;

use pyo3::prelude::*;

/// The native half of `ourio`; its public names are re-exported by the package.
#[pymodule(gil_used = true)]
fn _ourio(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    gil::_check_interpreter(py)?;
    known::import(py)?;
    socket::probe(py)?;
    schedule::capture_keyword_names(py)?;
    module.add_class::<event_loop::Loop>()?;
    module.add_class::<handle::Handle>()?;
    module.add_class::<handle::TimerHandle>()?;
    module.add_class::<handle::ThreadSafeHandle>()?;
    module.add_class::<stream::StreamTransport>()?;
    module.add_class::<watchdog::StallWatch>()?;
    module.add_class::<in_turn::InTurn>()?;
    module.add_class::<work_queue::WorkQueue>()?;
    module.add_class::<monitor::Monitor>()?;
    module.add_function(wrap_pyfunction!(monitor::_socket_of, module)?)?;
    module.add_function(wrap_pyfunction!(monitor::_top, module)?)?;
    module.add_function(wrap_pyfunction!(monitor::_picture, module)?)?;
    module.add_function(wrap_pyfunction!(gil::_check_interpreter, module)?)?;
    module.add_function(wrap_pyfunction!(pending_call::_set_pending_call, module)?)?;
    module.add_function(wrap_pyfunction!(pending_call::_renew_pending_calls, module)?)?;
    module.add_function(wrap_pyfunction!(work_queue::_renew_work_queues, module)?)?;
    module.add_function(wrap_pyfunction!(watchdog::_own_delay, module)?)?;
    module.add_function(wrap_pyfunction!(watchdog::_state_of, module)?)?;
    module.add_function(wrap_pyfunction!(datagram::_add_datagram_methods, module)?)?;
    module.add_function(wrap_pyfunction!(tls::_add_tls_methods, module)?)?;
    schedule::add_methods(py)?;
    sock_calls::add_methods(py)?;
    stream_io::add_methods(py)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
