//! Writing through TLS: what an application's transport, asyncio's `_SSLProtocolTransport`, does per write.
//!
//! Encrypts on a connection that is up and whose buffers are empty, and queues what comes of it on the stream. All else is
//! left to asyncio's methods.

use std::rc::Rc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyType};

use crate::boundary::buffer::{Bytes, receive_bytes};
use crate::boundary::method::{self, Args, one_argument, raw_methods};
use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::stream::transport::StreamTransport;
use crate::tls::protocol::{fail, is_false, is_tls_protocol, is_up};
use crate::tls::session::{RECORD_MAX, Session};

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

/// What a record needs beside its data, at most, by any usual cipher; what needs more is sent as well, in two parts.
const OVERHEAD: usize = 128;

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
        let Some(session) = transport.get().session() else { return Ok(None) };
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
                StreamTransport::write_chunk(&self.transport, Bytes::from(encrypted), "write")?;
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
            StreamTransport::write_chunk(&self.transport, Bytes::from(encrypted), "write")?;
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
        return Ok(names()?.none.clone_ref(py));
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
        let items: Object = PyList::new(py, items)?.into_any().into();
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
    Ok(names()?.none.clone_ref(py))
}

/// asyncio's own method.
fn inherited(py: Python<'_>, slf: &Bound<'_, PyAny>, name: &str, argument: &Object) -> PyResult<Object> {
    let class = names()?.tls_transport.bind(py);
    Ok(class.getattr(name)?.call1((slf, argument.bind(py)))?.into())
}
