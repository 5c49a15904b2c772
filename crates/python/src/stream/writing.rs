//! Writing: what leaves at once, what is held back, and what the kernel does not take.
//!
//! Writes made during one turn leave together at its end, or after a millisecond, in one system call per transport:
//! the headers and the body of an HTTP response are one, and a peer that talks over many connections is woken once. A
//! program cannot tell: the buffer's size is asked after what is held has been sent, and from 8 KiB on, or above the
//! high-water mark, nothing is held back. Which write waits is `ourio_transport::Hold`'s to say.

use std::io::IoSlice;

use ourio_transport::{Admission, Departure};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown};

use crate::boundary::buffer::{Bytes, ReadableBuffer};
use crate::boundary::errors;
use crate::boundary::method::{self, Args, one_argument, raw_methods};
use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::queue::report::report_transport;
use crate::stream::chunk::chunk;
use crate::stream::transport::StreamTransport;

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

/// From here on a write is not held back: a system call for so much is worth its price, and what is held by a hundred
/// connections at a time would be megabytes, which leave the processor's cache and, when they are freed, the process.
const HELD_BYTES_MAX: usize = 8 * 1024;

/// Chunks per system call. The kernel's limit is 1024; beyond some dozens the call costs what it carries.
const SLICES_MAX: usize = 64;

fn write(py: Python<'_>, slf: &Bound<'_, StreamTransport>, args: Args<'_>) -> PyResult<Object> {
    let data = one_argument(py, args, "write", "data")?;
    if let Some(view) = ReadableBuffer::of_large(data.bind(py), HELD_BYTES_MAX)
        && slf.get().sends_next()
    {
        StreamTransport::send_from(slf, view)?;
    } else {
        StreamTransport::write_chunk(slf, chunk(py, &data)?, "write")?;
    }
    Ok(names()?.none.clone_ref(py))
}

fn writelines(py: Python<'_>, slf: &Bound<'_, StreamTransport>, args: Args<'_>) -> PyResult<Object> {
    let list = one_argument(py, args, "writelines", "list_of_data")?;
    let this = slf.get();
    let mut chunks = Vec::new();
    for data in list.bind(py).try_iter()? {
        let data = data?;
        chunks.push(match data.cast_exact::<PyBytes>() {
            Ok(_) => chunk(py, &Object::from(data))?,
            Err(_) => Bytes::copy(&data)?,
        });
    }
    if this.admit(py, "writelines")? == Admission::Open {
        {
            let mut stream = this.state.stream.borrow_mut();
            for chunk in chunks {
                stream.queue(chunk);
            }
        }
        this.hold_or_send(slf)?;
    }
    Ok(names()?.none.clone_ref(py))
}

/// What the loop calls when the turn has ended.
fn turn_ended(event_loop: &Bound<'_, Loop>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let this = transport.cast::<StreamTransport>()?;
    let sent = this.get().handle_turn_end(this);
    sent.or_else(|error| report_transport(event_loop.as_super(), transport, error))
}

impl StreamTransport {
    /// Queues a chunk, if the connection is open, and sends it now or at the end of the running callback.
    pub(crate) fn write_chunk(slf: &Bound<'_, Self>, chunk: Bytes, method: &str) -> PyResult<()> {
        let this = slf.get();
        if this.admit(slf.py(), method)? == Admission::Open && !chunk.as_ref().is_empty() {
            this.state.stream.borrow_mut().queue(chunk);
            this.hold_or_send(slf)?;
        }
        Ok(())
    }

    /// Whether what is written now would be offered to the kernel at once, if it is much.
    fn sends_next(&self) -> bool {
        let stream = self.state.stream.borrow();
        stream.write_queue().is_empty() && !stream.is_blocked() && !self.state.descriptor.is_released()
    }

    /// Sends data that can change from where it lies, and queues a copy of what the kernel does not take.
    fn send_from(slf: &Bound<'_, Self>, view: ReadableBuffer) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.admit(py, "write")? != Admission::Open {
            return Ok(());
        }
        let data = view.as_ref();
        let number = this.state.descriptor.number(py);
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
            names()?.logger.bind(py).call_method1("warning", ("socket.send() raised exception.",))?;
        }
        Ok(admission)
    }

    /// Holds back what was queued until the turn ends, or sends it now.
    fn hold_or_send(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let (blocked, over) = {
            let stream = self.state.stream.borrow();
            let len = stream.write_queue().len();
            (stream.is_blocked(), len >= HELD_BYTES_MAX || len > stream.flow().high())
        };
        if blocked {
            let effects = self.state.stream.borrow_mut().handle_blocked();
            return Self::perform(slf, effects);
        }
        if over {
            return self.send_held(slf);
        }
        let mut hold = self.state.hold.get();
        let departure = if hold.is_listed() {
            Departure::WithTheRest
        } else {
            self.with_loop(slf.py(), |event_loop| {
                let (held, scheduler) = (event_loop.get().held(), event_loop.as_super().get());
                // Nothing else is to be done in this turn that could write too: the peer may as well start now, while the
                // callback goes on.
                let is_alone = || scheduler.engine().borrow().ready_len() == 0 && held.is_empty_of_streams();
                let departure = hold.handle_write(held.callback(), is_alone);
                if departure == Departure::AtTheEnd {
                    held.hold(slf.clone().into(), turn_ended);
                }
                Ok(departure)
            })?
        };
        self.state.hold.set(hold);
        if departure == Departure::Now { self.send(slf) } else { Ok(()) }
    }

    /// The loop has taken the transport off its list, as the turn has ended.
    fn handle_turn_end(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let mut hold = self.state.hold.get();
        hold.handle_turn_end(|| self.state.stream.borrow().write_queue().chunks().nth(1).is_some());
        self.state.hold.set(hold);
        self.send_held(slf)
    }

    /// Sends what was held back.
    #[inline]
    pub(super) fn send_held(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let waits = {
            let stream = self.state.stream.borrow();
            !stream.write_queue().is_empty() && !stream.is_blocked() && !stream.is_lost()
        };
        if waits { self.send(slf) } else { Ok(()) }
    }

    /// Offers the queue to the kernel once, and again while it takes whole batches.
    pub(super) fn send(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        loop {
            let offered;
            if self.state.descriptor.is_released() {
                return Ok(());
            }
            let number = self.state.descriptor.number(py);
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

    pub(super) fn shut_down_write(&self, py: Python<'_>) {
        // The peer may have gone already, which the next read or write reports.
        let _ = self.state.descriptor.number(py).with(|fd| rustix::net::shutdown(fd, Shutdown::Write));
    }
}
