//! TLS connections: the data path of asyncio's own `SSLProtocol`.
//!
//! asyncio's protocol stays what it is: its state machine does the handshake, the shutdown, flow control and every
//! error. What runs per packet, on a connection that is up and whose buffers are empty, is done here on the same
//! OpenSSL objects. Before each step the protocol's own attributes are asked whether that is so; if not, or if
//! OpenSSL has anything to say but bytes, asyncio's method runs and meets the same.

use std::ffi::CStr;
use std::rc::Rc;

use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyType};

use crate::boundary::buffer::{Chunk, receive_bytes};
use crate::boundary::method::{self, Args, Body, RawMethod};
use crate::boundary::names::known;
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::queue::call_soon::raw_methods;
use crate::stream::io::one_argument;
use crate::stream::transport::StreamTransport;
use crate::tls::session::{Refusal, Session};

raw_methods! {
    Write, PyAny, c"write", write,
        c"write($self, data)\n--\n\nSend data, encrypted; what the kernel does not take at once is buffered.";
    WriteLines, PyAny, c"writelines", writelines,
        c"writelines($self, list_of_data)\n--\n\nSend each of the buffers in list_of_data, encrypted.";
}

/// Makes a subclass of asyncio's TLS transport native where that pays.
#[pyfunction]
pub(crate) fn _add_tls_methods(class: &Bound<'_, PyType>) -> PyResult<()> {
    method::attach_to::<Write>(class)?;
    method::attach_to::<WriteLines>(class)
}

/// What OpenSSL puts at most into one record: what is written together up to here is encrypted together.
const RECORD_MAX: usize = 16 * 1024;

/// How much ciphertext OpenSSL is given at once: a record with what it needs beside its data.
const PIECE: usize = RECORD_MAX + 1024;

/// What a record needs beside its data, at most, by any usual cipher; what needs more is sent as well, in two parts.
const OVERHEAD: usize = 128;

/// The session of a protocol, if it is asyncio's TLS protocol and its session can be used from here.
pub(crate) fn session_of(protocol: &Bound<'_, PyAny>) -> PyResult<Option<Rc<Session>>> {
    let py = protocol.py();
    if !is_tls_protocol(protocol)? {
        return Ok(None);
    }
    let attribute = |name| protocol.getattr(name);
    let session = Session::of(
        &attribute(intern!(py, "_sslobj"))?,
        &attribute(intern!(py, "_incoming"))?,
        &attribute(intern!(py, "_outgoing"))?,
    )?;
    Ok(session.map(Rc::new))
}

fn is_tls_protocol(protocol: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(protocol.get_type().as_ptr() == known()?.tls_protocol.as_ptr())
}

/// Whether the handshake is over, the shutdown has not begun, and nothing waits to be encrypted.
fn is_up(protocol: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = protocol.py();
    Ok(protocol.getattr(intern!(py, "_state"))?.as_ptr() == known()?.tls_wrapped.as_ptr()
        && protocol.getattr(intern!(py, "_write_backlog"))?.len()? == 0)
}

fn is_false(value: &Bound<'_, PyAny>) -> bool {
    value.as_ptr() == PyBool::new(value.py(), false).as_ptr()
}

/// asyncio: what a protocol raises ends its connection.
fn fail(protocol: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = protocol.py();
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    let arguments = (error.into_value(py), "Fatal error on SSL protocol");
    protocol.call_method1(intern!(py, "_fatal_error"), arguments).map(drop)
}

/// Ciphertext has come and lies in the loop's scratch buffer.
pub(crate) fn receive(
    event_loop: &Bound<'_, Loop>,
    protocol: &Bound<'_, PyAny>,
    session: &Session,
    count: usize,
) -> PyResult<()> {
    let py = protocol.py();
    let direct = is_up(protocol)?
        && is_false(&protocol.getattr(intern!(py, "_app_reading_paused"))?)
        && is_false(&protocol.getattr(intern!(py, "_app_protocol_is_buffer"))?);
    if direct {
        let outcome = deliver(event_loop, protocol, session, count);
        return outcome.or_else(|error| fail(protocol, error));
    }
    put(session, &event_loop.get().scratch().borrow()[..count])?;
    // asyncio's dispatch by state; the bytes are where it would have put them.
    protocol.call_method1(intern!(py, "buffer_updated"), (0,)).map(drop)
}

fn put(session: &Session, encrypted: &[u8]) -> PyResult<()> {
    if session.put(encrypted) { Ok(()) } else { Err(PyMemoryError::new_err(())) }
}

fn deliver(
    event_loop: &Bound<'_, Loop>,
    protocol: &Bound<'_, PyAny>,
    session: &Session,
    count: usize,
) -> PyResult<()> {
    let py = protocol.py();
    let (data, refusal) = {
        let mut scratch = event_loop.get().scratch().borrow_mut();
        if count > PIECE {
            decrypt_much(py, session, &scratch[..count])?
        } else {
            put(session, &scratch[..count])?;
            // What was received has been copied to OpenSSL, so its place is free for what it decrypts to.
            let (count, refusal) = decrypt(session, scratch.len(), |from| session.read(&mut scratch[from..]));
            (PyBytes::new(py, &scratch[..count]), refusal)
        }
    };
    if refusal == Some(Refusal::Failed) {
        // asyncio: nothing of a batch with an error in it is delivered. It will meet the same error.
        return protocol.call_method0(intern!(py, "_do_read")).map(drop);
    }
    if !data.as_bytes().is_empty() {
        let app_protocol = protocol.getattr(intern!(py, "_app_protocol"))?;
        app_protocol.call_method1(intern!(py, "data_received"), (data,))?;
    }
    if refusal == Some(Refusal::Closed) {
        protocol.call_method0(intern!(py, "_call_eof_received"))?;
        protocol.call_method0(intern!(py, "_start_shutdown"))?;
    }
    if session.to_send() > 0 || protocol.getattr(intern!(py, "_write_backlog"))?.len()? > 0 {
        protocol.call_method0(intern!(py, "_do_write"))?;
    }
    if session.may_have_more() {
        // More than the scratch buffer holds, or the app has asked for a pause.
        return protocol.call_method0(intern!(py, "_do_read")).map(drop);
    }
    Ok(())
}

/// Decrypts what there is, or what there is room for; `read` decrypts a record to a place.
fn decrypt(
    session: &Session,
    room: usize,
    mut read: impl FnMut(usize) -> Result<usize, Refusal>,
) -> (usize, Option<Refusal>) {
    let mut filled = 0;
    while filled < room {
        match read(filled) {
            Ok(count) => filled += count,
            Err(refusal) => return (filled, Some(refusal)),
        }
        if !session.may_have_more() {
            break;
        }
    }
    (filled, None)
}

/// Decrypts straight into the object that the protocol gets, and piece by piece: OpenSSL's buffers stay small, and in
/// the processor's cache.
fn decrypt_much<'py>(
    py: Python<'py>,
    session: &Session,
    encrypted: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, Option<Refusal>)> {
    let mut refusal = None;
    // The record that was not complete before comes on top.
    let data = receive_bytes(py, encrypted.len() + RECORD_MAX, |room| {
        let mut filled = 0;
        for piece in encrypted.chunks(PIECE) {
            put(session, piece)?;
            // What comes after an end or an error is only put where asyncio will look at it.
            if matches!(refusal, None | Some(Refusal::Again)) {
                let rest = &mut room[filled..];
                let count;
                (count, refusal) = decrypt(session, rest.len(), |from| session.read_into(&mut rest[from..]));
                filled += count;
            }
        }
        Ok::<_, PyErr>(filled)
    })??;
    Ok((data, refusal))
}

/// What is needed to send on a connection right now.
struct Sender<'py> {
    protocol: Bound<'py, PyAny>,
    transport: Bound<'py, StreamTransport>,
    session: Rc<Session>,
}

impl<'py> Sender<'py> {
    /// `None` if asyncio's method has to look at it.
    fn of(app_transport: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let py = app_transport.py();
        let protocol = app_transport.getattr(intern!(py, "_ssl_protocol"))?;
        if !is_tls_protocol(&protocol)? {
            return Ok(None);
        }
        let transport = protocol.getattr(intern!(py, "_transport"))?;
        let Ok(transport) = transport.cast_into_exact::<StreamTransport>() else { return Ok(None) };
        let Some(session) = transport.get().state.tls.borrow().clone() else { return Ok(None) };
        let direct = is_up(&protocol)?
            && is_false(&protocol.getattr(intern!(py, "_ssl_writing_paused"))?)
            && is_false(&protocol.getattr(intern!(py, "_app_writing_paused"))?)
            // asyncio: with a high-water mark of zero each write pauses the protocol.
            && protocol.getattr(intern!(py, "_outgoing_high_water"))?.is_truthy()?;
        Ok(direct.then_some(Self { protocol, transport, session }))
    }

    /// Encrypts, and queues what is to be sent. What OpenSSL does not take now waits where asyncio has it wait.
    fn send(&self, data: &[u8]) -> PyResult<()> {
        let py = self.protocol.py();
        let mut written = 0;
        if data.len() > RECORD_MAX {
            let encrypted = self.encrypt_much(data, &mut written)?;
            if !encrypted.as_bytes().is_empty() {
                StreamTransport::write_chunk(&self.transport, Chunk::from(encrypted), "write")?;
            }
        } else {
            while written < data.len() {
                match self.session.write(&data[written..]) {
                    Ok(count) => written += count,
                    Err(_) => break,
                }
            }
        }
        if let Some(encrypted) = self.session.take(py)? {
            StreamTransport::write_chunk(&self.transport, Chunk::from(encrypted), "write")?;
        }
        if written < data.len() {
            let rest = PyBytes::new(py, &data[written..]);
            self.protocol.call_method1(intern!(py, "_write_appdata"), ((rest,),))?;
        }
        Ok(())
    }

    /// Encrypts record by record into one object, so that OpenSSL's buffer holds one record only.
    fn encrypt_much(&self, data: &[u8], written: &mut usize) -> PyResult<Bound<'py, PyBytes>> {
        let records = data.len().div_ceil(RECORD_MAX);
        let capacity = self.session.to_send() + data.len() + records * OVERHEAD;
        receive_bytes(self.protocol.py(), capacity, |room| {
            let mut filled = 0;
            while *written < data.len() {
                let record = &data[*written..data.len().min(*written + RECORD_MAX)];
                let Ok(count) = self.session.write(record) else { break };
                *written += count;
                filled += self.session.take_into(&mut room[filled..]);
            }
            Ok::<_, PyErr>(filled)
        })?
    }
}

fn write(py: Python<'_>, slf: &Bound<'_, PyAny>, args: Args<'_>) -> PyResult<Object> {
    let data = one_argument(py, args, "write", "data")?;
    if let Ok(bytes) = data.bind(py).cast_exact::<PyBytes>()
        && !bytes.as_bytes().is_empty()
        && let Some(sender) = Sender::of(slf)?
    {
        sender.send(bytes.as_bytes()).or_else(|error| fail(&sender.protocol, error))?;
        return Ok(known()?.none.clone_ref(py));
    }
    inherited(py, slf, "write", &data)
}

fn writelines(py: Python<'_>, slf: &Bound<'_, PyAny>, args: Args<'_>) -> PyResult<Object> {
    let list = one_argument(py, args, "writelines", "list_of_data")?;
    // First, as going through it may run code that closes the connection; and once, as it may be an iterator.
    let items = list.bind(py).try_iter()?.collect::<PyResult<Vec<_>>>()?;
    let plain = items.iter().all(PyAnyMethods::is_exact_instance_of::<PyBytes>);
    let sender = if plain { Sender::of(slf)? } else { None };
    let Some(sender) = sender else {
        let items: Object = pyo3::types::PyList::new(py, items)?.into_any().into();
        return inherited(py, slf, "writelines", &items);
    };
    let mut record = Vec::new();
    let flush = |record: &mut Vec<u8>| {
        let outcome = if record.is_empty() { Ok(()) } else { sender.send(record) };
        record.clear();
        outcome.or_else(|error| fail(&sender.protocol, error))
    };
    for item in &items {
        let bytes = item.cast::<PyBytes>()?.as_bytes();
        if record.len() + bytes.len() > RECORD_MAX {
            flush(&mut record)?;
        }
        record.extend_from_slice(bytes);
    }
    flush(&mut record)?;
    Ok(known()?.none.clone_ref(py))
}

/// asyncio's own method.
fn inherited(py: Python<'_>, slf: &Bound<'_, PyAny>, name: &str, argument: &Object) -> PyResult<Object> {
    let class = known()?.tls_transport.bind(py);
    Ok(class.getattr(name)?.call1((slf, argument.bind(py)))?.into())
}
