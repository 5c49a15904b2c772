//! The system calls of a stream transport: reading, writing, corking.
//!
//! Writes made during one turn leave together at its end, or after a millisecond, in one system call per transport:
//! the headers and the body of an HTTP response are one, and a peer that talks over many connections is woken once. A
//! program cannot tell: the buffer's size is asked after a flush, and from 8 KiB on, or above the high-water mark,
//! nothing is held back.

use std::ffi::CStr;
use std::io::IoSlice;

use ourio_engine::{Interest, Readiness};
use ourio_transport::Admission;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use crate::boundary::buffer::{Chunk, ReadableBuffer, WritableBuffer};
use crate::boundary::context;
use crate::boundary::errors;
use crate::boundary::method::{self, Args, Body, RawMethod};
use crate::boundary::names::known;
use crate::boundary::object::Object;
use crate::event_loop::class::{Loop, READ_MAX};
use crate::event_loop::registrations::Watcher;
use crate::queue::call_soon::raw_methods;
use crate::queue::entry::Shared;
use crate::socket::descriptor::Number;
use crate::stream::transport::StreamTransport;
use crate::tls::data_path;
use crate::tls::session::Session;

raw_methods! {
    Write, StreamTransport, c"write", write,
        c"write($self, data)\n--\n\nSend data; what the kernel does not take at once is buffered.";
    WriteLines, StreamTransport, c"writelines", writelines,
        c"writelines($self, list_of_data)\n--\n\nSend each of the buffers in list_of_data.";
}

pub(crate) fn add_methods(py: Python<'_>) -> PyResult<()> {
    method::attach::<Write>(py)?;
    method::attach::<WriteLines>(py)
}

/// From here on copying costs more than allocating: after such a read the next one is made without a copy.
pub(crate) const MUCH_BYTES: usize = 64 * 1024;

/// From here on a write is not held back: a system call for so much is worth its price, and what is held by a hundred
/// connections at a time would be megabytes, which leave the processor's cache and, when they are freed, the process.
const HELD_MAX: usize = 8 * 1024;

/// Chunks per system call. The kernel's limit is 1024; beyond some dozens the call costs what it carries.
const SLICES_MAX: usize = 64;

/// How a protocol writes, which tells whether it pays to wait for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteHabit {
    /// One write in a callback, as far as is known; the last one that was sent at once was in this callback.
    Once { sent_in: u64 },
    /// Several, such as headers and a body.
    Often,
}

impl Default for WriteHabit {
    fn default() -> Self {
        Self::Once { sent_in: 0 }
    }
}

fn write(py: Python<'_>, slf: &Bound<'_, StreamTransport>, args: Args<'_>) -> PyResult<Object> {
    let data = one_argument(py, args, "write", "data")?;
    if let Some(view) = ReadableBuffer::of_large(data.bind(py), HELD_MAX)
        && slf.get().sends_next()
    {
        StreamTransport::send_from(slf, view)?;
    } else {
        StreamTransport::write_chunk(slf, Chunk::new(py, &data)?, "write")?;
    }
    Ok(known()?.none.clone_ref(py))
}

fn writelines(py: Python<'_>, slf: &Bound<'_, StreamTransport>, args: Args<'_>) -> PyResult<Object> {
    let list = one_argument(py, args, "writelines", "list_of_data")?;
    let this = slf.get();
    let mut chunks = Vec::new();
    for data in list.bind(py).try_iter()? {
        let data = data?;
        chunks.push(match data.cast_exact::<PyBytes>() {
            Ok(_) => Chunk::new(py, &Object::from(data))?,
            Err(_) => Chunk::copy(&data)?,
        });
    }
    if this.admit(py, "writelines")? == Admission::Open {
        {
            let mut stream = this.state.stream.borrow_mut();
            for chunk in chunks {
                stream.queue(chunk);
            }
        }
        this.cork(slf)?;
    }
    Ok(known()?.none.clone_ref(py))
}

pub(crate) fn one_argument(py: Python<'_>, args: Args<'_>, method: &str, name: &str) -> PyResult<Object> {
    let named = args.keywords(py).find(|(keyword, _)| keyword.extract::<&str>().is_ok_and(|k| k == name));
    match (args.len(), args.positional(py, 0), named) {
        (1, Some(data), None) | (0, None, Some((_, data))) => Ok(data),
        (count, ..) => Err(pyo3::exceptions::PyTypeError::new_err(format!(
            "{method}() takes exactly one argument ({count} given)"
        ))),
    }
}

impl StreamTransport {
    /// Queues a chunk, if the connection is open, and sends it now or at the end of the running callback.
    pub(crate) fn write_chunk(slf: &Bound<'_, Self>, chunk: Chunk, method: &str) -> PyResult<()> {
        let this = slf.get();
        if this.admit(slf.py(), method)? == Admission::Open && !chunk.as_ref().is_empty() {
            this.state.stream.borrow_mut().queue(chunk);
            this.cork(slf)?;
        }
        Ok(())
    }

    /// Whether what is written now would be offered to the kernel at once, if it is much.
    fn sends_next(&self) -> bool {
        let stream = self.state.stream.borrow();
        stream.write_queue().is_empty() && !stream.is_blocked() && self.state.socket.borrow().is_some()
    }

    /// Sends data that can change from where it lies, and queues a copy of what the kernel does not take.
    fn send_from(slf: &Bound<'_, Self>, view: ReadableBuffer) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.admit(py, "write")? != Admission::Open {
            return Ok(());
        }
        let data = view.as_ref();
        let number = Number::of(&this.state.socket, py);
        let count = match number.with(|fd| rustix::net::send(fd, data, SendFlags::NOSIGNAL)) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => {
                // The program may change its data again, also in what is called now.
                drop(view);
                return this.write_failed(slf, errno);
            }
        };
        if let Some(connection) = &*this.state.connection.borrow() {
            connection.sent(count);
        }
        let rest = PyBytes::new(py, &data[count..]);
        drop(view);
        if rest.as_bytes().is_empty() {
            return Ok(());
        }
        this.state.stream.borrow_mut().queue(rest.into());
        this.block(slf)
    }

    fn write_failed(&self, slf: &Bound<'_, Self>, errno: Errno) -> PyResult<()> {
        let error = errors::os(errno.raw_os_error());
        Self::fail(slf, error, "Fatal write error on socket transport")
    }

    /// Whether a write may be queued, in asyncio's order of checks.
    fn admit(&self, py: Python<'_>, method: &str) -> PyResult<Admission> {
        let admission = self.state.stream.borrow_mut().admit_write();
        let admission = admission.map_err(|refusal| match method {
            "write" => errors::write_after_eof(refusal),
            other => PyRuntimeError::new_err(format!("Cannot call {other}() after write_eof()")),
        })?;
        if self.state.empty_waiter.borrow().is_some() {
            return Err(PyRuntimeError::new_err(format!("unable to {method}; sendfile is in progress")));
        }
        if admission == (Admission::Dropped { warn: true }) {
            known()?.logger.bind(py).call_method1("warning", ("socket.send() raised exception.",))?;
        }
        Ok(admission)
    }

    /// Holds back what was queued until the turn ends, or sends it now.
    fn cork(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let (blocked, over) = {
            let stream = self.state.stream.borrow();
            let len = stream.write_queue().len();
            (stream.is_blocked(), len >= HELD_MAX || len > stream.flow().high())
        };
        if blocked {
            let effects = self.state.stream.borrow_mut().handle_blocked();
            return Self::perform(slf, effects);
        }
        if over || self.state.corked.get() {
            return if over { self.flush(slf) } else { Ok(()) };
        }
        let held = self.with_loop(slf.py(), |event_loop| {
            let event_loop = event_loop.get();
            let held = event_loop.dispatching().get() && !self.pays_at_once(event_loop);
            if held {
                event_loop.corked().borrow_mut().push(Shared::from(slf.clone()));
                event_loop.holds().set(true);
            }
            Ok(held)
        })?;
        self.state.corked.set(held);
        if held { Ok(()) } else { self.send(slf) }
    }

    /// Whether nothing else is to be done in this turn that could write too: the peer may as well start now, while
    /// the callback goes on.
    fn pays_at_once(&self, event_loop: &Loop) -> bool {
        let running = event_loop.callbacks().get();
        let alone = event_loop.engine().borrow().ready_len() == 0 && event_loop.corked().borrow().is_empty();
        match self.state.habit.get() {
            WriteHabit::Once { sent_in } if sent_in == running => {
                self.state.habit.set(WriteHabit::Often);
                false
            }
            WriteHabit::Once { .. } if alone => {
                self.state.habit.set(WriteHabit::Once { sent_in: running });
                true
            }
            _ => false,
        }
    }

    /// The turn has ended.
    pub(crate) fn uncork(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        self.state.corked.set(false);
        if self.state.habit.get() == WriteHabit::Often
            && self.state.stream.borrow().write_queue().chunks().nth(1).is_none()
        {
            self.state.habit.set(WriteHabit::default());
        }
        self.flush(slf)
    }

    /// Sends what was held back.
    #[inline]
    pub(crate) fn flush(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let waits = {
            let stream = self.state.stream.borrow();
            !stream.write_queue().is_empty() && !stream.is_blocked() && !stream.is_lost()
        };
        if waits { self.send(slf) } else { Ok(()) }
    }

    /// Offers the queue to the kernel once, and again while it takes whole batches.
    fn send(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        loop {
            let offered;
            if self.state.socket.borrow().is_none() {
                return Ok(());
            }
            let number = Number::of(&self.state.socket, py);
            let outcome = {
                let stream = self.state.stream.borrow();
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let slices = stream.write_queue().fill(&mut slices);
                offered = slices.iter().map(|slice| slice.len()).sum::<usize>();
                number.with(|fd| match slices {
                    [single] => rustix::net::send(fd, single, SendFlags::NOSIGNAL),
                    many => rustix::io::writev(fd, many),
                })
            };
            match outcome {
                Ok(count) => {
                    if let Some(connection) = &*self.state.connection.borrow() {
                        connection.sent(count);
                    }
                    let change = self.state.stream.borrow_mut().handle_written(count);
                    let told = change.map_or(Ok(()), |change| self.tell_flow(slf, change));
                    let drained = self.state.stream.borrow().write_queue().is_empty();
                    if drained {
                        let effects = self.state.stream.borrow_mut().handle_drained();
                        let performed = Self::perform(slf, effects);
                        return told.and(performed).and(self.wake_empty_waiter(py));
                    }
                    if count < offered {
                        return told.and(self.block(slf));
                    }
                    told?;
                }
                Err(Errno::AGAIN | Errno::INTR) => return self.block(slf),
                Err(errno) => return self.write_failed(slf, errno),
            }
        }
    }

    fn block(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let effects = self.state.stream.borrow_mut().handle_blocked();
        Self::perform(slf, effects)
    }

    fn wake_empty_waiter(&self, py: Python<'_>) -> PyResult<()> {
        let waiter = self.state.empty_waiter.borrow().as_ref().map(|waiter| waiter.bind(py).clone());
        if let Some(waiter) = waiter
            && !waiter.call_method0(intern!(py, "done"))?.is_truthy()?
        {
            waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
        }
        Ok(())
    }

    pub(crate) fn shut_down_write(&self, py: Python<'_>) {
        // The peer may have gone already, which the next read or write reports.
        let _ = Number::of(&self.state.socket, py).with(|fd| rustix::net::shutdown(fd, Shutdown::Write));
    }

    /// Watches the descriptor for what the stream wants.
    #[inline]
    pub(crate) fn sync_interest(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let wanted = {
            let stream = self.state.stream.borrow();
            Interest { readable: stream.wants_read(), writable: stream.wants_write() }
        };
        let py = slf.py();
        match self.state.token.get() {
            None if wanted.is_none() => Ok(()),
            Some(token) => self.with_loop(py, |event_loop| {
                if wanted.is_none() {
                    self.state.token.set(None);
                    event_loop.get().unwatch(token);
                    return Ok(());
                }
                let outcome = event_loop.get().engine().borrow_mut().rewatch(token, wanted);
                outcome.map_err(|error| errors::engine(&error))
            }),
            None => self.with_loop(py, |event_loop| {
                if self.state.socket.borrow().is_none() {
                    return Ok(());
                }
                let number = Number::of(&self.state.socket, py).get();
                let this = event_loop.get();
                let token = this.engine().borrow_mut().watch(number, wanted);
                let token = token.map_err(|error| errors::engine(&error))?;
                self.state.token.set(Some(token));
                let watcher = Watcher::Transport(Shared::from(slf.clone()));
                let superseded = this.watchers().borrow_mut().insert(token, watcher);
                drop(superseded);
                Ok(())
            }),
        }
    }

    /// The descriptor is ready.
    pub(crate) fn handle_ready(
        &self,
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, Loop>,
        readiness: Readiness,
    ) -> PyResult<()> {
        let py = slf.py();
        if readiness.readable && self.state.stream.borrow().wants_read() {
            let context = self.state.read_context.borrow().as_ref().map(|context| context.clone_ref(py));
            match context {
                Some(context) => context::run_in(py, &context, || self.read(slf, event_loop))?,
                None => self.read(slf, event_loop)?,
            }
        }
        if readiness.writable && self.state.stream.borrow().wants_write() {
            self.send(slf)?;
        }
        Ok(())
    }

    fn read(&self, slf: &Bound<'_, Self>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let Some(protocol) = self.protocol(py) else { return Ok(()) };
        if self.state.buffered.get() {
            let session = self.state.tls.borrow().clone();
            return match session {
                Some(session) => self.read_tls(slf, event_loop, &protocol, &session),
                None => self.read_into(slf, &protocol),
            };
        }
        let number = Number::of(&self.state.socket, py);
        let outcome = if self.state.reads_much.get() {
            // Straight into the object that the protocol gets: no copy, but an allocation of the largest size.
            number.receive(py, READ_MAX)?
        } else {
            let mut scratch = event_loop.get().scratch().borrow_mut();
            let received = number.with(|fd| rustix::net::recv(fd, &mut scratch[..], RecvFlags::empty()));
            received.map(|(count, _)| PyBytes::new(py, &scratch[..count]))
        };
        if let Ok(data) = &outcome {
            self.state.reads_much.set(data.as_bytes().len() >= MUCH_BYTES);
            self.count_received(data.as_bytes().len());
        }
        match outcome {
            Ok(data) if data.as_bytes().is_empty() => self.end_of_stream(slf, &protocol),
            Ok(data) => match protocol.call_method1(intern!(py, "data_received"), (data,)) {
                Ok(_) => Ok(()),
                Err(error) => Self::fail(slf, error, "Fatal error: protocol.data_received() call failed."),
            },
            Err(errno) => Self::read_failed(slf, errno),
        }
    }

    fn read_tls(
        &self,
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, Loop>,
        protocol: &Bound<'_, PyAny>,
        session: &Session,
    ) -> PyResult<()> {
        let number = Number::of(&self.state.socket, slf.py());
        let outcome = {
            let mut scratch = event_loop.get().scratch().borrow_mut();
            number.with(|fd| rustix::net::recv(fd, &mut scratch[..], RecvFlags::empty()))
        };
        match outcome {
            Ok((0, _)) => self.end_of_stream(slf, protocol),
            Ok((count, _)) => {
                self.count_received(count);
                data_path::receive(event_loop, protocol, session, count).or_else(|error| {
                    Self::fail(slf, error, "Fatal error: protocol.buffer_updated() call failed.")
                })
            }
            Err(errno) => Self::read_failed(slf, errno),
        }
    }

    /// Reads straight into the protocol's own buffer.
    fn read_into(&self, slf: &Bound<'_, Self>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let buffer = protocol.call_method1(intern!(py, "get_buffer"), (-1,)).and_then(|buffer| {
            if buffer.len()? == 0 {
                return Err(PyRuntimeError::new_err("get_buffer() returned an empty buffer"));
            }
            Ok(buffer)
        });
        let buffer = match buffer {
            Ok(buffer) => buffer,
            Err(error) => return Self::fail(slf, error, "Fatal error: protocol.get_buffer() call failed."),
        };
        let mut view = match WritableBuffer::new(&buffer) {
            Ok(view) => view,
            Err(error) => return Self::fail(slf, error, "Fatal read error on socket transport"),
        };
        let number = Number::of(&self.state.socket, py);
        let outcome = number.with(|fd| rustix::net::recv(fd, view.as_mut(), RecvFlags::empty()));
        drop(view);
        match outcome {
            Ok((0, _)) => self.end_of_stream(slf, protocol),
            Ok((count, _)) => {
                self.count_received(count);
                match protocol.call_method1(intern!(py, "buffer_updated"), (count,)) {
                    Ok(_) => Ok(()),
                    Err(error) => {
                        Self::fail(slf, error, "Fatal error: protocol.buffer_updated() call failed.")
                    }
                }
            }
            Err(errno) => Self::read_failed(slf, errno),
        }
    }

    #[inline]
    fn count_received(&self, bytes: usize) {
        if let Some(connection) = &*self.state.connection.borrow() {
            connection.received(bytes);
        }
    }

    fn read_failed(slf: &Bound<'_, Self>, errno: Errno) -> PyResult<()> {
        match errno {
            Errno::AGAIN | Errno::INTR => Ok(()),
            errno => {
                let error = errors::os(errno.raw_os_error());
                Self::fail(slf, error, "Fatal read error on socket transport")
            }
        }
    }

    fn end_of_stream(&self, slf: &Bound<'_, Self>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let answer =
            protocol.call_method0(intern!(slf.py(), "eof_received")).and_then(|answer| answer.is_truthy());
        match answer {
            Ok(keep_open) => {
                self.flush(slf)?;
                let effects = self.state.stream.borrow_mut().handle_eof(keep_open);
                Self::perform(slf, effects)
            }
            Err(error) => Self::fail(slf, error, "Fatal error: protocol.eof_received() call failed."),
        }
    }
}
