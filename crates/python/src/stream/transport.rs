//! `StreamTransport`: a connected stream socket as asyncio's `Transport`: its face.
//!
//! The rules (which callback, in which order, how often) are `ourio_transport::Stream`; this file gives them a
//! Python object, the files beside it system calls. To `isinstance` it is asyncio's own socket transport,
//! through `__class__`: asyncio's classes have `__slots__`, so they cannot be bases of a native layout.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::rc::Rc;

use ourio_monitor::{Connection, Kind};
use ourio_transport::{Hold, Stream};
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyAttributeError, PyResourceWarning, PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;
use pyo3::types::PyDict;

use crate::boundary::buffer::Bytes;
use crate::boundary::context;
use crate::boundary::errors;
use crate::boundary::lock::LockBound;
use crate::boundary::names::names;
use crate::boundary::object::{Instance, Object};
use crate::event_loop::class::Loop;
use crate::event_loop::transports;
use crate::server::clients;
use crate::socket::descriptor::{MadeAs, Number, Socket};
use crate::socket::receive_buffer::ReadHabit;
use crate::stream::descriptor::Descriptor;
use crate::stream::opening::{name_or_none, own_name, set_nodelay};
use crate::tls::protocol;
use crate::tls::session::Session;

/// A stream transport over a socket.
#[pyclass(module = "ourio", name = "StreamTransport", frozen, dict, weakref)]
#[derive(Debug)]
pub(crate) struct StreamTransport {
    pub(super) state: LockBound<State>,
}

#[derive(Debug)]
pub(super) struct State {
    /// Set in every state that was made. Until 3.11 the collector may run while the object's `__dict__` is being made,
    /// and meets one that is zeros still.
    is_made: bool,
    pub(super) stream: RefCell<Stream<Bytes>>,
    pub(super) descriptor: Descriptor,
    pub(super) event_loop: RefCell<Option<Instance<Loop>>>,
    pub(super) protocol: RefCell<Option<Object>>,
    /// Whether the protocol fills a buffer of its own.
    pub(super) buffered: Cell<bool>,
    /// The session of a TLS protocol whose data path is native.
    pub(super) tls: RefCell<Option<Rc<Session>>>,
    pub(super) extra: Object,
    pub(super) server: RefCell<Option<Object>>,
    pub(super) waiter: RefCell<Option<Object>>,
    /// What `connection_lost` is called with.
    pub(super) loss: RefCell<Option<Object>>,
    /// asyncio: reads run in the context in which reading started.
    pub(super) read_context: RefCell<Option<Object>>,
    /// 3.15: the context that the creator asked for.
    pub(super) given_context: Option<Object>,
    /// Which writes are held back, and whether some are.
    pub(super) hold: Cell<Hold>,
    pub(super) read_habit: ReadHabit,
    /// Counts the bytes, until the connection is lost.
    pub(super) connection: RefCell<Option<Connection>>,
    /// Done when the write queue is empty; set by `sendfile`.
    pub(super) empty_waiter: RefCell<Option<Object>>,
}

impl StreamTransport {
    #[inline]
    pub(crate) fn with_loop<T>(
        &self,
        py: Python<'_>,
        body: impl FnOnce(&Bound<'_, Loop>) -> PyResult<T>,
    ) -> PyResult<T> {
        let event_loop =
            self.state.event_loop.borrow().as_ref().map(|event_loop| event_loop.bind(py).clone());
        body(&event_loop.ok_or_else(errors::loop_closed)?)
    }

    /// The session of its TLS protocol, if that is used from here.
    pub(crate) fn session(&self) -> Option<Rc<Session>> {
        self.state.tls.borrow().clone()
    }

    pub(crate) fn protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.protocol.borrow().as_ref().map(|protocol| protocol.bind(py).clone())
    }
}

#[pymethods]
impl StreamTransport {
    #[new]
    #[pyo3(signature = (event_loop, sock, protocol, waiter = None, extra = None, server = None, context = None))]
    fn new(
        event_loop: &Bound<'_, Loop>,
        sock: &Bound<'_, PyAny>,
        protocol: Bound<'_, PyAny>,
        waiter: Option<Bound<'_, PyAny>>,
        extra: Option<&Bound<'_, PyDict>>,
        server: Option<Bound<'_, PyAny>>,
        context: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = event_loop.py();
        let fd = match Number::of_plain(sock) {
            Some(number) => number.get(),
            None => sock.call_method0(intern!(py, "fileno"))?.extract()?,
        };
        transports::refuse_if_used(event_loop, sock, fd)?;
        let names = names()?;
        // asyncio: names are asked for once, so that they are still known after the peer has gone.
        let own = extra.map_or_else(|| Ok(PyDict::new(py)), PyDictMethods::copy)?;
        own.set_item(intern!(py, "socket"), names.transport_socket.bind(py).call1((sock,))?)?;
        own.set_item(intern!(py, "sockname"), own_name(event_loop, sock)?)?;
        if !own.contains(intern!(py, "peername"))? {
            let name = name_or_none(sock, intern!(py, "getpeername"))?;
            own.set_item(intern!(py, "peername"), name)?;
        }
        let made_as = MadeAs::of_plain(sock);
        set_nodelay(sock, made_as)?;
        let buffered = protocol.is_instance(names.buffered_protocol.bind(py))?;
        let tls = protocol::session_of(&protocol)?;
        let family =
            made_as.map_or_else(|| sock.getattr("family")?.extract(), |made_as| Ok(made_as.family))?;
        let kind = match family {
            _ if tls.is_some() => Kind::Tls,
            libc::AF_UNIX => Kind::Unix,
            _ => Kind::Tcp,
        };
        let state = State {
            is_made: true,
            stream: RefCell::new(Stream::new()),
            descriptor: Descriptor::new(Socket::new(sock)?, fd),
            event_loop: RefCell::new(Some(event_loop.clone().into())),
            tls: RefCell::new(tls),
            protocol: RefCell::new(Some(protocol.into())),
            buffered: Cell::new(buffered),
            extra: own.into(),
            server: RefCell::new(server.map(Object::from)),
            waiter: RefCell::new(waiter.map(Object::from)),
            loss: RefCell::new(None),
            read_context: RefCell::new(None),
            given_context: context.map(Object::from),
            hold: Cell::default(),
            read_habit: ReadHabit::default(),
            connection: RefCell::new(Some(event_loop.as_super().get().traffic().open(kind))),
            empty_waiter: RefCell::new(None),
        };
        Ok(Self { state: LockBound::new(state) })
    }

    /// Enters the tables of the loop and the server, and schedules `connection_made`.
    fn _start(slf: &Bound<'_, Self>) -> PyResult<()> {
        let server = slf.get().state.server.borrow().as_ref().map(|server| server.bind(slf.py()).clone());
        let this = slf.get();
        this.with_loop(slf.py(), |event_loop| {
            transports::enter(event_loop, this.state.descriptor.number_at_start(), slf.as_any())
        })?;
        if let Some(server) = server {
            clients::attach(&server, slf.as_any())?;
        }
        Self::schedule_made(slf)
    }

    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(names()?.stream_transport.bind(py).clone())
    }

    /// Return what is known about the connection: `socket`, `sockname`, `peername` and more.
    #[pyo3(signature = (name, default = None))]
    fn get_extra_info<'py>(
        &self,
        name: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let extra = self.state.extra.bind(name.py()).cast::<PyDict>()?;
        Ok(extra.get_item(name)?.or(default))
    }

    /// Set a new protocol.
    fn set_protocol(&self, protocol: Bound<'_, PyAny>) -> PyResult<()> {
        let buffered = protocol.is_instance(names()?.buffered_protocol.bind(protocol.py()))?;
        if buffered && self.state.event_loop.borrow().is_some() {
            // Where `start_tls` comes by with its protocol.
            self.with_loop(protocol.py(), |event_loop| {
                event_loop.call_method1("_share_tls_buffer", (&protocol,)).map(drop)
            })?;
        }
        self.state.buffered.set(buffered);
        let session = protocol::session_of(&protocol)?;
        let before = (self.state.tls.replace(session), self.state.protocol.replace(Some(protocol.into())));
        drop(before);
        Ok(())
    }

    /// Return the current protocol; None once the connection is lost.
    fn get_protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.protocol(py)
    }

    /// Whether the transport is closing or is closed.
    fn is_closing(&self) -> bool {
        self.state.stream.borrow().is_closing()
    }

    /// Whether data is being received.
    fn is_reading(&self) -> bool {
        self.state.stream.borrow().is_reading()
    }

    /// Stop receiving; nothing is delivered until `resume_reading()`.
    fn pause_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let paused = slf.get().state.stream.borrow_mut().pause_reading();
        if paused {
            slf.get().register(slf)?;
            Self::log_debug(slf, "%r pauses reading")?;
        }
        Ok(())
    }

    /// Receive again after `pause_reading()`.
    fn resume_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let resumed = this.state.stream.borrow_mut().resume_reading();
        if resumed {
            if this.state.given_context.is_none() {
                let before = this.state.read_context.replace(Some(context::copy_current(py)?));
                drop(before);
            }
            this.register(slf)?;
            Self::log_debug(slf, "%r resumes reading")?;
        }
        Ok(())
    }

    /// Close in order: what is buffered is sent first.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().send_held(slf)?;
        let effects = slf.get().state.stream.borrow_mut().close();
        Self::perform(slf, effects)
    }

    /// Close at once: what is buffered is lost.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::_force_close(slf, None)
    }

    #[pyo3(signature = (exc))]
    fn _force_close(slf: &Bound<'_, Self>, exc: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        slf.get().send_held(slf)?;
        Self::force_close(slf, exc)
    }

    /// Close the write side once what is buffered has been sent.
    fn write_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().send_held(slf)?;
        let effects = slf.get().state.stream.borrow_mut().write_eof();
        Self::perform(slf, effects)
    }

    /// Whether `write_eof()` is supported: always.
    fn can_write_eof(&self) -> bool {
        true
    }

    /// Set the high- and low-water marks in bytes.
    #[pyo3(signature = (high = None, low = None))]
    fn set_write_buffer_limits(
        slf: &Bound<'_, Self>,
        high: Option<isize>,
        low: Option<isize>,
    ) -> PyResult<()> {
        let limits = [high, low].map(|limit| limit.map(usize::try_from).transpose());
        let [Ok(high_bytes), Ok(low_bytes)] = limits else {
            let low = low.or(high.map(|high| high.div_euclid(4))).unwrap_or(0);
            let high = high.unwrap_or(4 * low);
            let text = format!("high ({high}) must be >= low ({low}) must be >= 0");
            return Err(PyValueError::new_err(text));
        };
        slf.get().send_held(slf)?;
        let outcome = slf.get().state.stream.borrow_mut().set_limits(high_bytes, low_bytes);
        Self::perform(slf, outcome.map_err(errors::limits)?)
    }

    /// The low- and the high-water mark in bytes.
    fn get_write_buffer_limits(&self) -> (usize, usize) {
        self.state.stream.borrow().flow().limits()
    }

    /// How many bytes wait to be sent.
    fn get_write_buffer_size(slf: &Bound<'_, Self>) -> PyResult<usize> {
        slf.get().send_held(slf)?;
        Ok(slf.get().state.stream.borrow().write_queue().len())
    }

    fn _make_empty_waiter<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        if this.state.empty_waiter.borrow().is_some() {
            return Err(PyRuntimeError::new_err("Empty waiter is already set"));
        }
        this.send_held(slf)?;
        let waiter =
            this.with_loop(py, |event_loop| Ok(event_loop.call_method0("create_future")?.unbind()))?;
        let waiter = waiter.into_bound(py);
        this.state.empty_waiter.replace(Some(waiter.clone().into()));
        if this.state.stream.borrow().write_queue().is_empty() {
            waiter.call_method1("set_result", (py.None(),))?;
        }
        Ok(waiter)
    }

    fn _reset_empty_waiter(&self) {
        let waiter = self.state.empty_waiter.take();
        drop(waiter);
    }

    #[classattr]
    #[pyo3(name = "_start_tls_compatible")]
    const START_TLS_COMPATIBLE: bool = true;

    #[getter]
    fn _sendfile_compatible<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(names()?.try_native.bind(py).clone())
    }

    #[getter]
    fn _extra(&self, py: Python<'_>) -> Py<PyAny> {
        self.state.extra.bind(py).clone().unbind()
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let open = !self.state.descriptor.is_released();
        let event_loop = self.state.event_loop.borrow();
        event_loop.as_ref().filter(|_| open).map(|event_loop| event_loop.bind(py).clone().into_any().unbind())
    }

    #[getter]
    fn _sock(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.descriptor.socket(py).map(Bound::unbind)
    }

    #[getter]
    fn _sock_fd(&self) -> i32 {
        self.state.descriptor.number_at_start()
    }

    #[getter]
    fn _protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.protocol(py)
    }

    #[getter]
    fn _protocol_paused(&self) -> bool {
        self.state.stream.borrow().flow().is_paused()
    }

    #[getter]
    fn _paused(&self) -> bool {
        let stream = self.state.stream.borrow();
        !stream.is_closing() && !stream.is_reading()
    }

    #[getter]
    fn _closing(&self) -> bool {
        self.is_closing()
    }

    #[getter]
    fn _conn_lost(&self) -> bool {
        self.state.stream.borrow().is_lost()
    }

    #[getter]
    fn _eof(&self) -> bool {
        self.state.stream.borrow().is_write_ended()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let this = slf.get();
        let stream = this.state.stream.borrow();
        let mut text = slf.get_type().name()?.to_string();
        if this.state.descriptor.is_released() {
            text.push_str(" closed");
        } else if stream.is_closing() {
            text.push_str(" closing");
        }
        let fd = this.state.descriptor.number_at_start();
        let read = if stream.wants_read() { "polling" } else { "idle" };
        let write = if stream.wants_write() { "polling" } else { "idle" };
        let size = stream.write_queue().len();
        Ok(format!("<{text} fd={fd} read={read} write=<{write}, bufsize={size}>>"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let state = &self.state;
        if !state.is_made {
            return Ok(());
        }
        visit.call(state.extra.as_py())?;
        visit.call(state.given_context.as_ref().map(Object::as_py))?;
        let fields = [
            &state.protocol,
            &state.server,
            &state.waiter,
            &state.loss,
            &state.read_context,
            &state.empty_waiter,
        ];
        if let Ok(event_loop) = state.event_loop.try_borrow() {
            visit.call(event_loop.as_ref().map(|event_loop| event_loop.object().as_py()))?;
        }
        if let Ok(session) = state.tls.try_borrow() {
            visit.call(session.as_ref().map(|session| session.owner().as_py()))?;
        }
        for field in fields {
            if let Ok(field) = field.try_borrow() {
                visit.call(field.as_ref().map(Object::as_py))?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let state = &self.state;
        // The socket and the server stay, for the warning of an unclosed transport.
        let fields = [&state.protocol, &state.waiter, &state.loss, &state.read_context];
        let taken = (state.event_loop.take(), state.tls.take(), fields.map(RefCell::take));
        drop(taken);
    }
}

impl StreamTransport {
    fn log_debug(slf: &Bound<'_, Self>, format: &str) -> PyResult<()> {
        let py = slf.py();
        slf.get().with_loop(py, |event_loop| {
            if event_loop.as_super().get().is_debug() {
                names()?.logger.bind(py).call_method1("debug", (format, slf))?;
            }
            Ok(())
        })
    }
}

impl Drop for State {
    /// asyncio: a transport that is collected unclosed warns and closes its socket.
    fn drop(&mut self) {
        let Some(socket) = self.descriptor.abandon() else { return };
        Python::attach(|py| {
            let text =
                format!("unclosed transport <StreamTransport fd={}>\0", self.descriptor.number_at_start());
            let category = py.get_type::<PyResourceWarning>();
            let message = CStr::from_bytes_with_nul(text.as_bytes()).unwrap_or(c"unclosed transport");
            let warned = PyErr::warn(py, category.as_any(), message, 1);
            let closed = socket.object().bind(py).call_method0("close").map(drop);
            let detached = match self.server.take() {
                // The transport itself is gone; the server only counts, or looks it up in a weak set.
                Some(server) => clients::detach(server.bind(py), server.bind(py)),
                None => Ok(()),
            };
            // A server that is collected together with the transport may have lost its attributes before.
            let detached = detached.or_else(|error| {
                if error.is_instance_of::<PyAttributeError>(py) { Ok(()) } else { Err(error) }
            });
            for error in [warned, closed, detached].into_iter().filter_map(Result::err) {
                error.write_unraisable(py, None);
            }
        });
    }
}
