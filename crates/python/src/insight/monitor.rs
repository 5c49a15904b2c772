//! `Monitor`: the native half of the monitor, and a loop's counters as Python sees them.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use ourio_engine::Distribution;
use ourio_monitor::{Board, Identity, Server, connections, socket_of};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::queue::scheduler::Scheduler;

/// The board of this process, and the server that shows it.
#[pyclass(module = "ourio._ourio", frozen)]
#[derive(Debug)]
pub(crate) struct Monitor {
    board: Board,
    server: Mutex<Option<Server>>,
    path: String,
    url: Option<String>,
}

#[pymethods]
impl Monitor {
    #[new]
    #[pyo3(signature = (program, host, http = None))]
    fn new(py: Python<'_>, program: String, host: String, http: Option<&str>) -> PyResult<Self> {
        let http = http.map(str::parse::<SocketAddr>).transpose();
        let http = http.map_err(|_| {
            PyValueError::new_err("an address and a port are expected, such as 127.0.0.1:8080")
        })?;
        let board = Board::new()?;
        let server = py.detach(|| Server::start(board.clone(), Identity { program, host }, http))?;
        let path = server.path().to_string_lossy().into_owned();
        let url = server.url().map(str::to_owned);
        Ok(Self { board, server: Mutex::new(Some(server)), path, url })
    }

    /// The local socket.
    #[getter]
    fn path(&self) -> &str {
        &self.path
    }

    /// Where a browser finds the dashboard, with the token.
    #[getter]
    fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Shows a loop under a name.
    fn add(&self, event_loop: &Bound<'_, Scheduler>, name: String) {
        self.board.add(event_loop.get().view(name));
    }

    /// A loop is closed.
    fn remove(&self, name: &str) {
        self.board.remove(name);
    }

    /// Writes down that something has happened; its content is JSON.
    fn note(&self, kind: &str, content: String) {
        self.board.note(kind, content);
    }

    /// The descriptor that becomes readable when there are questions.
    fn fileno(&self) -> i32 {
        self.board.bell().as_raw_fd()
    }

    /// The questions that wait: number, name, argument.
    fn questions(&self) -> Vec<(u64, String, String)> {
        let questions = self.board.questions().into_iter();
        questions.map(|question| (question.number, question.name, question.argument)).collect()
    }

    /// Answers a question, with JSON.
    fn answer(&self, question: u64, answer: String) {
        self.board.answer(question, answer);
    }

    /// Whether it was stopped.
    fn is_stopped(&self) -> bool {
        self.board.is_closed()
    }

    /// Stops the server, and has whoever waits for questions end.
    fn stop(&self, py: Python<'_>) {
        self.board.close();
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Its thread needs no lock of the interpreter's, but may take a moment to end.
        py.detach(|| drop(server));
    }
}

/// The local socket of a process.
#[pyfunction]
pub(crate) fn _socket_of(process: u32) -> String {
    socket_of(process).to_string_lossy().into_owned()
}

/// Shows a process in the terminal until the user leaves.
#[pyfunction]
pub(crate) fn _top(py: Python<'_>, path: &str) -> PyResult<()> {
    py.detach(|| ourio_monitor::top(path.as_ref())).map_err(|error| PyOSError::new_err(error.to_string()))
}

/// What the terminal view shows of a state and of tasks, as a picture in SVG.
#[pyfunction]
pub(crate) fn _picture(state: &str, tasks: &str, width: u16, height: u16) -> PyResult<String> {
    ourio_monitor::picture(state, tasks, width, height)
        .map_err(|error| PyValueError::new_err(error.to_string()))
}

#[pymethods]
impl Scheduler {
    /// The engine's counters by name, and what was measured.
    fn _counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let view = self.view(String::new());
        // While the loop runs, its counters are its own; they are published often enough.
        let counters =
            self.engine().try_borrow().map_or_else(|_| view.page.read(), |engine| engine.counters());
        let named = PyDict::new(py);
        for (name, count) in [
            ("turns", counters.turns),
            ("polls", counters.polls),
            ("sleeps", counters.sleeps),
            ("ran", counters.ran),
            ("io_events", counters.io_events),
            ("timers_fired", counters.timers_fired),
            ("inbox_received", counters.inbox_received),
            ("busy_ns", counters.busy_ns),
            ("ready", counters.ready),
            ("timers", counters.timers),
            ("watched", counters.watched),
        ] {
            named.set_item(name, count)?;
        }
        let reading = view.read();
        named.set_item("delay", quantiles(&reading.delays))?;
        named.set_item("lag", quantiles(&reading.lags))?;
        let moved = PyDict::new(py);
        for kind in connections(&view.traffic) {
            moved.set_item(kind.kind, (kind.open, kind.opened, kind.received, kind.sent))?;
        }
        named.set_item("connections", moved)?;
        Ok(named)
    }
}

/// The median and the 99th percentile, in seconds.
fn quantiles(distribution: &Distribution) -> (f64, f64) {
    (distribution.quantile(0.5).as_secs_f64(), distribution.quantile(0.99).as_secs_f64())
}
