//! asyncio's own tables of connections: a loop's transports by their descriptors, and the connections of a server.
//!
//! Both are containers of weak references that are written in Python, and each is asked twice per connection. What
//! their methods would do to the sets and dicts inside is done here, where nobody has put something else in the place of
//! those methods; else they are called.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyWeakrefMethods, PyWeakrefReference};

use crate::boundary::names::{Known, known};
use crate::event_loop::class::Loop;

/// Refuses a descriptor that another transport uses.
///
/// # Errors
///
/// asyncio's: `RuntimeError` if there is one.
pub(crate) fn refuse_if_used(event_loop: &Bound<'_, Loop>, sock: &Bound<'_, PyAny>, fd: i32) -> PyResult<()> {
    if transports(event_loop)?.contains(fd)? {
        event_loop.call_method1(intern!(event_loop.py(), "_ensure_fd_no_transport"), (sock,))?;
    }
    Ok(())
}

/// Enters a transport as the one that uses a descriptor.
pub(crate) fn enter(event_loop: &Bound<'_, Loop>, fd: i32, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    // No function is called when it is collected: an entry whose transport is gone counts as none, and
    // whoever has the number next replaces it.
    transports(event_loop)?.set_item(fd, PyWeakrefReference::new(transport)?)
}

/// Takes a transport out again, if it is still the one that uses the descriptor.
pub(crate) fn leave(event_loop: &Bound<'_, Loop>, fd: i32, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let table = transports(event_loop)?;
    let entered = table.get_item(fd)?.and_then(|entry| entry.cast_into::<PyWeakrefReference>().ok());
    if entered.and_then(|entry| entry.upgrade()).is_some_and(|entered| entered.is(transport)) {
        table.del_item(fd)?;
    }
    Ok(())
}

/// What is in the `WeakValueDictionary` of a loop.
fn transports<'py>(event_loop: &Bound<'py, Loop>) -> PyResult<Bound<'py, PyDict>> {
    let py = event_loop.py();
    let table = event_loop.getattr(intern!(py, "_transports"))?.getattr(intern!(py, "data"))?;
    Ok(table.cast_into::<PyDict>()?)
}

/// Tells a server that a connection has come.
pub(crate) fn attach(server: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = server.py();
    let known = known()?;
    if let Some(clients) = Clients::of(server, known)?
        && is_listening(server)?
    {
        let forget = clients.set.getattr(intern!(py, "_remove"))?;
        return clients.data.add(PyWeakrefReference::new_with(transport, forget)?);
    }
    tell(server, "_attach", transport, known)
}

/// Tells a server that a connection has gone.
pub(crate) fn detach(server: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let known = known()?;
    if let Some(clients) = Clients::of(server, known)? {
        clients.data.discard(PyWeakrefReference::new(transport)?)?;
        if !clients.data.is_empty() || is_listening(server)? {
            return Ok(());
        }
        // It was the last one, and somebody may wait for that.
    }
    tell(server, "_detach", transport, known)
}

/// Whether a server has not been closed.
fn is_listening(server: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(!server.getattr(intern!(server.py(), "_sockets"))?.is_none())
}

fn tell(
    server: &Bound<'_, PyAny>,
    method: &str,
    transport: &Bound<'_, PyAny>,
    known: &Known,
) -> PyResult<()> {
    if known.servers_know_connections {
        server.call_method1(method, (transport,))?;
    } else {
        server.call_method0(method)?;
    }
    Ok(())
}

/// The `WeakSet` of a server's connections.
struct Clients<'py> {
    set: Bound<'py, PyAny>,
    data: Bound<'py, PySet>,
}

impl<'py> Clients<'py> {
    /// That of a server that is asyncio's, in all that is passed by here.
    fn of(server: &Bound<'py, PyAny>, known: &Known) -> PyResult<Option<Self>> {
        let py = server.py();
        if !known.servers_know_connections || server.get_type().as_ptr() != known.server.as_ptr() {
            return Ok(None);
        }
        let class = known.server.bind(py);
        if !class.getattr(intern!(py, "_attach"))?.is(known.server_attach.as_py())
            || !class.getattr(intern!(py, "_detach"))?.is(known.server_detach.as_py())
        {
            return Ok(None);
        }
        let set = server.getattr(intern!(py, "_clients"))?;
        if set.get_type().as_ptr() != known.weak_set.as_ptr() {
            return Ok(None);
        }
        // Until 3.13: what was collected while somebody looked through the set is removed before anything else.
        if let Some(pending) = set.getattr_opt(intern!(py, "_pending_removals"))?
            && pending.is_truthy()?
        {
            return Ok(None);
        }
        let data = set.getattr(intern!(py, "data"))?;
        Ok(data.cast_into::<PySet>().ok().map(|data| Self { set, data }))
    }
}
