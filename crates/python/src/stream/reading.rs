//! Reading: what a stream transport does when its descriptor is ready.

use ourio_engine::{Interest, Readiness};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::boundary::buffer::WritableBuffer;
use crate::boundary::context;
use crate::boundary::errors;
use crate::event_loop::class::Loop;
use crate::queue::report::report_transport;
use crate::socket::receive_buffer::READ_MAX;
use crate::stream::transport::StreamTransport;
use crate::tls::receive;
use crate::tls::session::Session;

/// What the loop calls.
fn ready(event_loop: &Bound<'_, Loop>, transport: &Bound<'_, PyAny>, readiness: Readiness) -> PyResult<()> {
    let this = transport.cast::<StreamTransport>()?;
    let outcome = this.get().handle_ready(this, event_loop, readiness);
    outcome.or_else(|error| report_transport(event_loop.as_super(), transport, error))
}

impl StreamTransport {
    /// Registers the descriptor for what the stream wants.
    #[inline]
    pub(super) fn register(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let wanted = {
            let stream = self.state.stream.borrow();
            Interest { readable: stream.wants_read(), writable: stream.wants_write() }
        };
        let descriptor = &self.state.descriptor;
        if descriptor.is_idle(wanted) {
            return Ok(());
        }
        self.with_loop(slf.py(), |event_loop| {
            descriptor.register(event_loop, wanted, || slf.clone().into(), ready)
        })
    }

    /// The descriptor is ready.
    fn handle_ready(
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
        let number = self.state.descriptor.number(py);
        let outcome = if self.state.read_habit.expects_much() {
            // Straight into the object that the protocol gets: no copy, but an allocation of the largest size.
            number.receive(py, READ_MAX)?
        } else {
            event_loop.get().receive_buffer().receive(py, number, READ_MAX)?
        };
        if let Ok(data) = &outcome {
            self.state.read_habit.note(data.as_bytes().len());
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
        let number = self.state.descriptor.number(slf.py());
        let buffer = event_loop.get().receive_buffer();
        let outcome =
            buffer.with(|bytes| number.with(|fd| rustix::net::recv(fd, bytes, RecvFlags::DONTWAIT)));
        match outcome {
            Ok((0, _)) => self.end_of_stream(slf, protocol),
            Ok((count, _)) => {
                self.count_received(count);
                receive::receive(buffer, protocol, session, count).or_else(|error| {
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
        let number = self.state.descriptor.number(py);
        let outcome = number.with(|fd| rustix::net::recv(fd, view.as_mut(), RecvFlags::DONTWAIT));
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
                self.send_held(slf)?;
                let effects = self.state.stream.borrow_mut().handle_eof(keep_open);
                Self::perform(slf, effects)
            }
            Err(error) => Self::fail(slf, error, "Fatal error: protocol.eof_received() call failed."),
        }
    }
}
