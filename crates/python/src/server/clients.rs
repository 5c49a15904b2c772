//! The connections of a server, which asyncio's `Server` counts or keeps in a weak set.
//!
//! The set is written in Python, and asked twice per connection. What its methods would do to the set inside is done here,
//! where nobody has put something else in the place of those methods; else they are called.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PySet, PyWeakrefReference};

use crate::boundary::names::{Names, names};

/// Tells a server that a connection has come.
pub(crate) fn attach(server: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = server.py();
    let names = names()?;
    if let Some(clients) = Clients::of(server, names)?
        && is_listening(server)?
    {
        let forget = clients.set.getattr(intern!(py, "_remove"))?;
        return clients.data.add(PyWeakrefReference::new_with(transport, forget)?);
    }
    tell(server, "_attach", transport, names)
}

/// Tells a server that a connection has gone.
pub(crate) fn detach(server: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let names = names()?;
    if let Some(clients) = Clients::of(server, names)? {
        clients.data.discard(PyWeakrefReference::new(transport)?)?;
        if !clients.data.is_empty() || is_listening(server)? {
            return Ok(());
        }
        // It was the last one, and somebody may wait for that.
    }
    tell(server, "_detach", transport, names)
}

/// Whether a server has not been closed.
fn is_listening(server: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(!server.getattr(intern!(server.py(), "_sockets"))?.is_none())
}

fn tell(
    server: &Bound<'_, PyAny>,
    method: &str,
    transport: &Bound<'_, PyAny>,
    names: &Names,
) -> PyResult<()> {
    if names.servers_know_connections {
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
    fn of(server: &Bound<'py, PyAny>, names: &Names) -> PyResult<Option<Self>> {
        let py = server.py();
        if !names.servers_know_connections || server.get_type().as_ptr() != names.server.as_ptr() {
            return Ok(None);
        }
        let class = names.server.bind(py);
        if !class.getattr(intern!(py, "_attach"))?.is(names.server_attach.as_py())
            || !class.getattr(intern!(py, "_detach"))?.is(names.server_detach.as_py())
        {
            return Ok(None);
        }
        let set = server.getattr(intern!(py, "_clients"))?;
        if set.get_type().as_ptr() != names.weak_set.as_ptr() {
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
