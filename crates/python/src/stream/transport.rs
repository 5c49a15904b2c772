//! `StreamTransport`: a connected stream socket as asyncio's `Transport`. Its face and its life.
//!
//! The rules (which callback, in which order, how often) are `ourio_transport::Stream`; this file gives them a
//! Python object, and `stream_io` gives them system calls. To `isinstance` it is asyncio's own socket transport,
//! through `__class__`: asyncio's classes have `__slots__`, so they cannot be bases of a native layout.

use std::cell::{Cell, RefCell};
use std::net::SocketAddrV4;
use std::rc::Rc;

use ourio_engine::Token;
use ourio_monitor::{Connection, Kind};
use ourio_transport::{Effects, FlowChange, Loss, Stream};
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyAttributeError, PyConnectionError, PyOSError, PyResourceWarning, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;
use pyo3::types::{PyDict, PyString};

use crate::boundary::buffer::Chunk;
use crate::boundary::context;
use crate::boundary::errors;
use crate::boundary::lock::GilBound;
use crate::boundary::names::known;
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::event_loop::transports;
use crate::event_loop::turn::call_exception_handler;
use crate::queue::entry::{Entry, Shared, Step};
use crate::socket::address;
use crate::socket::descriptor::{MadeAs, Number, Socket};
use crate::stream::io::WriteHabit;
use crate::tls::data_path;
use crate::tls::session::Session;

/// A stream transport over a socket.
#[pyclass(module = "ourio", name = "StreamTransport", frozen, dict, weakref)]
#[derive(Debug)]
pub(crate) struct StreamTransport {
    pub(crate) state: GilBound<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// Set in every state that was made. Until 3.11 the collector may run while the object's `__dict__` is being made,
    /// and meets one that is zeros still.
    is_made: bool,
    pub(crate) stream: RefCell<Stream<Chunk>>,
    /// `None` once the connection is lost and the descriptor released.
    pub(crate) socket: RefCell<Option<Socket>>,
    /// The number at the start, for texts only.
    fd: i32,
    pub(crate) event_loop: RefCell<Option<Object>>,
    pub(crate) protocol: RefCell<Option<Object>>,
    /// Whether the protocol fills a buffer of its own.
    pub(crate) buffered: Cell<bool>,
    /// The session of a TLS protocol whose data path is native.
    pub(crate) tls: RefCell<Option<Rc<Session>>>,
    extra: Object,
    server: RefCell<Option<Object>>,
    waiter: RefCell<Option<Object>>,
    /// What `connection_lost` is called with.
    loss: RefCell<Option<Object>>,
    pub(crate) token: Cell<Option<Token>>,
    /// asyncio: reads run in the context in which reading started.
    pub(crate) read_context: RefCell<Option<Object>>,
    /// 3.15: the context that the creator asked for.
    given_context: Option<Object>,
    pub(crate) habit: Cell<WriteHabit>,
    /// Whether the last read was a large one.
    pub(crate) reads_much: Cell<bool>,
    /// Set while the transport is in the loop's list of those that wrote.
    pub(crate) corked: Cell<bool>,
    /// Counts the bytes, until the connection is lost.
    pub(crate) connection: RefCell<Option<Connection>>,
    /// Done when the write queue is empty; set by `sendfile`.
    pub(crate) empty_waiter: RefCell<Option<Object>>,
}

impl StreamTransport {
    pub(crate) fn with_loop<T>(
        &self,
        py: Python<'_>,
        body: impl FnOnce(&Bound<'_, Loop>) -> PyResult<T>,
    ) -> PyResult<T> {
        let event_loop = self.state.event_loop.borrow().as_ref().map(|object| object.bind(py).clone());
        let event_loop = event_loop.ok_or_else(errors::loop_closed)?;
        body(event_loop.cast::<Loop>()?)
    }

    pub(crate) fn protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.protocol.borrow().as_ref().map(|protocol| protocol.bind(py).clone())
    }

    /// Schedules a step in a copy of the current context, or in the one that the creator gave.
    fn schedule(slf: &Bound<'_, Self>, step: Step) -> PyResult<()> {
        let py = slf.py();
        let given = slf.get().state.given_context.as_ref().map(|context| context.clone_ref(py));
        let context = context::given_or_copy(py, given)?;
        slf.get().with_loop(py, |event_loop| {
            event_loop.get().check_closed()?;
            event_loop.get().schedule(Entry::Transport {
                transport: Shared::from(slf.clone()),
                context,
                step,
            });
            Ok(())
        })
    }

    /// Performs what an input asked for, then watches what is wanted.
    pub(crate) fn perform(slf: &Bound<'_, Self>, effects: Effects) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        this.sync_interest(slf)?;
        if effects.shut_down_write {
            this.shut_down_write(py);
        }
        if effects.lost.is_some() {
            Self::schedule(slf, Step::Lost)?;
        }
        match effects.flow {
            None => Ok(()),
            Some(change) => this.tell_flow(slf, change),
        }
    }

    pub(crate) fn tell_flow(&self, slf: &Bound<'_, Self>, change: FlowChange) -> PyResult<()> {
        let py = slf.py();
        let method = match change {
            FlowChange::Pause => intern!(py, "pause_writing"),
            FlowChange::Resume => intern!(py, "resume_writing"),
        };
        let Some(protocol) = self.protocol(py) else { return Ok(()) };
        let Err(error) = protocol.call_method0(method) else { return Ok(()) };
        if errors::ends_the_loop(py, &error) {
            return Err(error);
        }
        let context = PyDict::new(py);
        context.set_item("message", format!("protocol.{method}() failed"))?;
        context.set_item("exception", error.into_value(py))?;
        context.set_item("transport", slf)?;
        context.set_item("protocol", protocol)?;
        self.with_loop(py, |event_loop| call_exception_handler(event_loop, &context))
    }

    /// asyncio: `_fatal_error`. The kernel's refusals are for the log in debug mode, all else is reported.
    pub(crate) fn fail(slf: &Bound<'_, Self>, error: PyErr, message: &str) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if errors::ends_the_loop(py, &error) {
            return Err(error);
        }
        let is_os_error = error.is_instance_of::<PyOSError>(py);
        let exception = error.into_value(py).into_bound(py).into_any();
        this.with_loop(py, |event_loop| {
            if !is_os_error {
                let context = PyDict::new(py);
                context.set_item("message", message)?;
                context.set_item("exception", &exception)?;
                context.set_item("transport", slf)?;
                context.set_item("protocol", this.protocol(py))?;
                return call_exception_handler(event_loop, &context);
            }
            if event_loop.get().is_debug() {
                let keywords = PyDict::new(py);
                keywords.set_item("exc_info", &exception)?;
                known()?.logger.bind(py).call_method("debug", ("%r: %s", slf, message), Some(&keywords))?;
            }
            Ok(())
        })?;
        Self::force_close(slf, Some(exception))
    }

    fn force_close(slf: &Bound<'_, Self>, exception: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let (effects, discarded) = slf.get().state.stream.borrow_mut().abort();
        if effects.lost == Some(Loss::Aborted) {
            let before = slf.get().state.loss.replace(exception.map(Object::from));
            drop(before);
        }
        discarded.for_each(drop);
        Self::perform(slf, effects)
    }

    /// A step from the loop.
    pub(crate) fn handle_step(
        &self,
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, Loop>,
        context: &Object,
        step: Step,
    ) -> PyResult<()> {
        match step {
            Step::Made => self.made(slf, event_loop, context),
            Step::Lost => self.lost(slf, event_loop, context),
        }
    }

    fn made(&self, slf: &Bound<'_, Self>, event_loop: &Bound<'_, Loop>, context: &Object) -> PyResult<()> {
        let py = slf.py();
        let reported =
            self.call_protocol(slf, event_loop, context, intern!(py, "connection_made"), slf.as_any());
        let given = self.state.given_context.as_ref().map(|context| context.clone_ref(py));
        let read_context = match given {
            Some(context) => context,
            // asyncio: the reader's context is a copy of the one in which it is added.
            None => context::run_in(py, context, || context::copy_current(py))?,
        };
        self.state.read_context.replace(Some(read_context));
        self.state.stream.borrow_mut().start_reading();
        self.sync_interest(slf)?;
        let waiter = self.state.waiter.take();
        if let Some(waiter) = waiter {
            let waiter = waiter.bind(py);
            if !waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
                waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        reported
    }

    /// Calls a method of the protocol in a context, and reports what it raises.
    fn call_protocol(
        &self,
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, Loop>,
        context: &Object,
        method: &Bound<'_, PyString>,
        argument: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let Some(protocol) = self.protocol(py) else { return Ok(()) };
        match context::run_in(py, context, || protocol.call_method1(method, (argument,))) {
            Ok(_) => Ok(()),
            Err(error) => Self::report_callback(&protocol, event_loop, context, (method, argument), error),
        }
    }

    /// Reports an exception of a protocol's method as asyncio does for the callback that it is there.
    fn report_callback(
        protocol: &Bound<'_, PyAny>,
        event_loop: &Bound<'_, Loop>,
        context: &Object,
        (method, argument): (&Bound<'_, PyString>, &Bound<'_, PyAny>),
        error: PyErr,
    ) -> PyResult<()> {
        let py = protocol.py();
        let function = protocol.getattr(method)?;
        let arguments = crate::queue::callback::Arguments::One(argument.clone().into());
        let callback = crate::queue::callback::Callback {
            function: function.into(),
            arguments,
            context: Some(context.clone_ref(py)),
        };
        let handle = Bound::new(py, crate::queue::handle::Handle::new(event_loop, callback, None))?;
        crate::event_loop::turn::report(event_loop, handle.as_any(), error)
    }

    fn lost(&self, slf: &Bound<'_, Self>, event_loop: &Bound<'_, Loop>, context: &Object) -> PyResult<()> {
        let py = slf.py();
        let loss = self.state.loss.borrow().as_ref().map(|loss| loss.bind(py).clone());
        let loss = loss.unwrap_or_else(|| py.None().into_bound(py));
        let reported = self.call_protocol(slf, event_loop, context, intern!(py, "connection_lost"), &loss);
        let released = self.release(slf, event_loop);
        let waiter = self.state.empty_waiter.borrow().as_ref().map(|waiter| waiter.bind(py).clone());
        if let Some(waiter) = waiter
            && !waiter.call_method0("done")?.is_truthy()?
        {
            let error = PyConnectionError::new_err("Connection is closed by peer");
            waiter.call_method1("set_exception", (error.into_value(py),))?;
        }
        reported.and(released)
    }

    /// Unregisters, then closes: in this order, once.
    fn release(&self, slf: &Bound<'_, Self>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        if let Some(token) = self.state.token.take() {
            event_loop.get().unwatch(token);
        }
        let socket = self.state.socket.take();
        let left = transports::leave(event_loop, self.state.fd, slf.as_any());
        drop(self.state.connection.take());
        let protocol = self.state.protocol.take();
        let session = self.state.tls.take();
        let server = self.state.server.take();
        let waiter = self.state.waiter.take();
        let closed = match &socket {
            Some(socket) => socket.object().bind(py).call_method0(intern!(py, "close")).map(drop),
            None => Ok(()),
        };
        if let Some(server) = server {
            transports::detach(server.bind(py), slf.as_any())?;
        }
        // asyncio: a lost transport keeps neither its protocol nor its loop alive.
        let kept = self.state.event_loop.take();
        drop((socket, protocol, session, waiter, kept));
        closed.and(left)
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
        let known = known()?;
        // asyncio: names are asked for once, so that they are still known after the peer has gone.
        let own = extra.map_or_else(|| Ok(PyDict::new(py)), PyDictMethods::copy)?;
        own.set_item(intern!(py, "socket"), known.transport_socket.bind(py).call1((sock,))?)?;
        own.set_item(intern!(py, "sockname"), own_name(event_loop, sock)?)?;
        if !own.contains(intern!(py, "peername"))? {
            let name = name_or_none(sock, intern!(py, "getpeername"))?;
            own.set_item(intern!(py, "peername"), name)?;
        }
        let made_as = MadeAs::of_plain(sock);
        set_nodelay(sock, made_as)?;
        let buffered = protocol.is_instance(known.buffered_protocol.bind(py))?;
        let tls = data_path::session_of(&protocol)?;
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
            fd,
            socket: RefCell::new(Some(Socket::new(sock)?)),
            event_loop: RefCell::new(Some(event_loop.clone().into())),
            tls: RefCell::new(tls),
            protocol: RefCell::new(Some(protocol.into())),
            buffered: Cell::new(buffered),
            extra: own.into(),
            server: RefCell::new(server.map(Object::from)),
            waiter: RefCell::new(waiter.map(Object::from)),
            loss: RefCell::new(None),
            token: Cell::new(None),
            read_context: RefCell::new(None),
            given_context: context.map(Object::from),
            habit: Cell::default(),
            reads_much: Cell::new(false),
            corked: Cell::new(false),
            connection: RefCell::new(Some(event_loop.get().traffic().open(kind))),
            empty_waiter: RefCell::new(None),
        };
        Ok(Self { state: GilBound::new(state) })
    }

    /// Enters the tables of the loop and the server, and schedules `connection_made`.
    fn _start(slf: &Bound<'_, Self>) -> PyResult<()> {
        let server = slf.get().state.server.borrow().as_ref().map(|server| server.bind(slf.py()).clone());
        let this = slf.get();
        this.with_loop(slf.py(), |event_loop| transports::enter(event_loop, this.state.fd, slf.as_any()))?;
        if let Some(server) = server {
            transports::attach(&server, slf.as_any())?;
        }
        Self::schedule(slf, Step::Made)
    }

    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(known()?.stream_transport.bind(py).clone())
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
        let buffered = protocol.is_instance(known()?.buffered_protocol.bind(protocol.py()))?;
        if buffered && self.state.event_loop.borrow().is_some() {
            // Where `start_tls` comes by with its protocol.
            self.with_loop(protocol.py(), |event_loop| {
                event_loop.call_method1("_share_tls_buffer", (&protocol,)).map(drop)
            })?;
        }
        self.state.buffered.set(buffered);
        let session = data_path::session_of(&protocol)?;
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
            slf.get().sync_interest(slf)?;
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
            this.sync_interest(slf)?;
            Self::log_debug(slf, "%r resumes reading")?;
        }
        Ok(())
    }

    /// Close in order: what is buffered is sent first.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().flush(slf)?;
        let effects = slf.get().state.stream.borrow_mut().close();
        Self::perform(slf, effects)
    }

    /// Close at once: what is buffered is lost.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::_force_close(slf, None)
    }

    #[pyo3(signature = (exc))]
    fn _force_close(slf: &Bound<'_, Self>, exc: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        slf.get().flush(slf)?;
        Self::force_close(slf, exc)
    }

    /// Close the write side once what is buffered has been sent.
    fn write_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().flush(slf)?;
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
            return Err(pyo3::exceptions::PyValueError::new_err(text));
        };
        slf.get().flush(slf)?;
        let outcome = slf.get().state.stream.borrow_mut().set_limits(high_bytes, low_bytes);
        Self::perform(slf, outcome.map_err(errors::limits)?)
    }

    /// The low- and the high-water mark in bytes.
    fn get_write_buffer_limits(&self) -> (usize, usize) {
        self.state.stream.borrow().flow().limits()
    }

    /// How many bytes wait to be sent.
    fn get_write_buffer_size(slf: &Bound<'_, Self>) -> PyResult<usize> {
        slf.get().flush(slf)?;
        Ok(slf.get().state.stream.borrow().write_queue().len())
    }

    fn _make_empty_waiter<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        if this.state.empty_waiter.borrow().is_some() {
            return Err(PyRuntimeError::new_err("Empty waiter is already set"));
        }
        this.flush(slf)?;
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
        Ok(known()?.try_native.bind(py).clone())
    }

    #[getter]
    fn _extra(&self, py: Python<'_>) -> Py<PyAny> {
        self.state.extra.bind(py).clone().unbind()
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let open = self.state.socket.borrow().is_some();
        let event_loop = self.state.event_loop.borrow();
        event_loop.as_ref().filter(|_| open).map(|event_loop| event_loop.bind(py).clone().unbind())
    }

    #[getter]
    fn _sock(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let socket = self.state.socket.borrow();
        socket.as_ref().map(|socket| socket.object().bind(py).clone().unbind())
    }

    #[getter]
    fn _sock_fd(&self) -> i32 {
        self.state.fd
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
        if this.state.socket.borrow().is_none() {
            text.push_str(" closed");
        } else if stream.is_closing() {
            text.push_str(" closing");
        }
        let fd = this.state.fd;
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
            &state.event_loop,
            &state.protocol,
            &state.server,
            &state.waiter,
            &state.loss,
            &state.read_context,
            &state.empty_waiter,
        ];
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
        let fields = [&state.event_loop, &state.protocol, &state.waiter, &state.loss, &state.read_context];
        let taken = (state.tls.take(), fields.map(RefCell::take));
        drop(taken);
    }
}

impl StreamTransport {
    fn log_debug(slf: &Bound<'_, Self>, format: &str) -> PyResult<()> {
        let py = slf.py();
        slf.get().with_loop(py, |event_loop| {
            if event_loop.get().is_debug() {
                known()?.logger.bind(py).call_method1("debug", (format, slf))?;
            }
            Ok(())
        })
    }
}

impl Drop for State {
    /// asyncio: a transport that is collected unclosed warns and closes its socket.
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        Python::attach(|py| {
            let text = format!("unclosed transport <StreamTransport fd={}>\0", self.fd);
            let category = py.get_type::<PyResourceWarning>();
            let message =
                std::ffi::CStr::from_bytes_with_nul(text.as_bytes()).unwrap_or(c"unclosed transport");
            let warned = PyErr::warn(py, category.as_any(), message, 1);
            let closed = socket.object().bind(py).call_method0("close").map(drop);
            let detached = match self.server.take() {
                // The transport itself is gone; the server only counts, or looks it up in a weak set.
                Some(server) => transports::detach(server.bind(py), server.bind(py)),
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

/// asyncio: `_set_nodelay`, which looks at enumerations that Python makes of what the socket was made as.
fn set_nodelay(sock: &Bound<'_, PyAny>, made_as: Option<MadeAs>) -> PyResult<()> {
    match (made_as, Number::of_plain(sock)) {
        (Some(made_as), Some(number)) if made_as.is_tcp() => {
            let done = number.with(|fd| rustix::net::sockopt::set_tcp_nodelay(fd, true));
            done.map_err(|errno| errors::os(errno.raw_os_error()))
        }
        (Some(_), Some(_)) => Ok(()),
        _ => known()?.set_nodelay.bind(sock.py()).call1((sock,)).map(drop),
    }
}

/// The address of our side of a connection.
fn own_name<'py>(
    event_loop: &Bound<'py, Loop>,
    sock: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = sock.py();
    if let (Some(number), Some(made_as)) = (Number::of_plain(sock), MadeAs::of_plain(sock))
        && made_as.family == libc::AF_INET
        && let Ok(name) = number.with(|fd| rustix::net::getsockname(fd))
        && let Ok(name) = SocketAddrV4::try_from(name)
    {
        return address::shared(py, event_loop.get(), name).map(Some);
    }
    name_or_none(sock, intern!(py, "getsockname"))
}

fn name_or_none<'py>(
    sock: &Bound<'py, PyAny>,
    method: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match sock.call_method0(method) {
        Ok(name) => Ok(Some(name)),
        Err(error) if error.is_instance_of::<PyOSError>(sock.py()) => Ok(None),
        Err(error) => Err(error),
    }
}
