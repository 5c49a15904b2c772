//! Receiving: ciphertext from the loop's buffer to the program's protocol.

use pyo3::exceptions::PyMemoryError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::boundary::buffer::receive_bytes;
use crate::socket::receive_buffer::ReceiveBuffer;
use crate::tls::protocol::{fail, is_false, is_up};
use crate::tls::session::{RECORD_MAX, Refusal, Session};

/// How much ciphertext OpenSSL is given at once: a record with what it needs beside its data.
const PIECE: usize = RECORD_MAX + 1024;

/// Ciphertext has come and lies in the loop's buffer.
pub(crate) fn receive(
    buffer: &ReceiveBuffer,
    protocol: &Bound<'_, PyAny>,
    session: &Session,
    count: usize,
) -> PyResult<()> {
    let py = protocol.py();
    let direct = is_up(protocol)?
        && is_false(&protocol.getattr(intern!(py, "_app_reading_paused"))?)
        && is_false(&protocol.getattr(intern!(py, "_app_protocol_is_buffer"))?);
    if direct {
        let outcome = deliver(buffer, protocol, session, count);
        return outcome.or_else(|error| fail(protocol, error));
    }
    buffer.with(|bytes| put(session, &bytes[..count]))?;
    // asyncio's dispatch by state; the bytes are where it would have put them.
    protocol.call_method1(intern!(py, "buffer_updated"), (0,)).map(drop)
}

fn put(session: &Session, encrypted: &[u8]) -> PyResult<()> {
    if session.put(encrypted) { Ok(()) } else { Err(PyMemoryError::new_err(())) }
}

fn deliver(
    buffer: &ReceiveBuffer,
    protocol: &Bound<'_, PyAny>,
    session: &Session,
    count: usize,
) -> PyResult<()> {
    let py = protocol.py();
    let (data, refusal) = buffer.with(|bytes| {
        if count > PIECE {
            return decrypt_much(py, session, &bytes[..count]);
        }
        put(session, &bytes[..count])?;
        // What was received has been copied to OpenSSL, so its place is free for what it decrypts to.
        let (count, refusal) = decrypt(session, bytes.len(), |from| session.read(&mut bytes[from..]));
        Ok((PyBytes::new(py, &bytes[..count]), refusal))
    })?;
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
        // More than the buffer holds, or the app has asked for a pause.
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
