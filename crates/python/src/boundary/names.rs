//! What is looked up once, at import: asyncio's types and functions.

use std::sync::OnceLock;

use pyo3::exceptions::PySystemError;
use pyo3::prelude::*;

use crate::boundary::lock::LockBound;
use crate::boundary::object::Object;

/// Objects of `asyncio` and friends, by the names that they have there.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) none: Object,
    pub(crate) future: Object,
    pub(crate) task: Object,
    /// The module, which a program may change.
    pub(crate) tasks: Object,
    pub(crate) handle: Object,
    pub(crate) timer_handle: Object,
    /// Since 3.14 `create_task` takes `eager_start`.
    pub(crate) tasks_start_eagerly: bool,
    /// What `call_soon_threadsafe` returns since 3.14.
    pub(crate) thread_safe_handle: Option<Object>,
    pub(crate) stream_transport: Object,
    pub(crate) buffered_protocol: Object,
    pub(crate) datagram_transport: Object,
    pub(crate) tls_protocol: Object,
    pub(crate) tls_transport: Object,
    /// The state of a TLS protocol whose handshake is over.
    pub(crate) tls_wrapped: Object,
    /// `_ssl.MemoryBIO`, `_ssl._SSLSocket` and `ssl.SSLObject`, of an interpreter that has them.
    pub(crate) tls_objects: Option<[Object; 3]>,
    pub(crate) socket: Object,
    pub(crate) transport_socket: Object,
    pub(crate) try_native: Object,
    pub(crate) set_result_unless_cancelled: Object,
    pub(crate) logger: Object,
    pub(crate) set_nodelay: Object,
    /// Since 3.13 a server wants to know which connection has come or gone.
    pub(crate) servers_know_connections: bool,
    pub(crate) server: Object,
    pub(crate) server_attach: Object,
    pub(crate) server_detach: Object,
    pub(crate) weak_set: Object,
    pub(crate) extract_stack: Object,
    pub(crate) iscoroutine: Object,
    pub(crate) iscoroutinefunction: Object,
    pub(crate) getframe: Object,
    pub(crate) queue_empty: Object,
}

static NAMES: OnceLock<LockBound<Names>> = OnceLock::new();

/// Looks everything up.
pub(crate) fn import(py: Python<'_>) -> PyResult<()> {
    let find = |module: &str, name: &str| Ok::<_, PyErr>(Object::from(py.import(module)?.getattr(name)?));
    let names = Names {
        none: py.None().into_bound(py).into(),
        future: find("asyncio", "Future")?,
        task: find("asyncio", "Task")?,
        tasks: py.import("asyncio.tasks")?.into(),
        handle: find("asyncio", "Handle")?,
        timer_handle: find("asyncio", "TimerHandle")?,
        tasks_start_eagerly: py.version_info() >= (3, 14),
        thread_safe_handle: find("asyncio.events", "_ThreadSafeHandle").ok(),
        stream_transport: find("asyncio.selector_events", "_SelectorSocketTransport")?,
        buffered_protocol: find("asyncio", "BufferedProtocol")?,
        datagram_transport: find("asyncio.selector_events", "_SelectorDatagramTransport")?,
        tls_protocol: find("asyncio.sslproto", "SSLProtocol")?,
        tls_transport: find("asyncio.sslproto", "_SSLProtocolTransport")?,
        tls_wrapped: py.import("asyncio.sslproto")?.getattr("SSLProtocolState")?.getattr("WRAPPED")?.into(),
        tls_objects: find("_ssl", "MemoryBIO")
            .and_then(|bio| Ok([bio, find("_ssl", "_SSLSocket")?, find("ssl", "SSLObject")?]))
            .ok(),
        socket: find("socket", "socket")?,
        transport_socket: find("asyncio.trsock", "TransportSocket")?,
        try_native: py.import("asyncio.constants")?.getattr("_SendfileMode")?.getattr("TRY_NATIVE")?.into(),
        set_result_unless_cancelled: find("asyncio.futures", "_set_result_unless_cancelled")?,
        logger: find("asyncio.log", "logger")?,
        set_nodelay: find("asyncio.base_events", "_set_nodelay")?,
        servers_know_connections: py.version_info() >= (3, 13),
        server: find("asyncio", "Server")?,
        server_attach: py.import("asyncio")?.getattr("Server")?.getattr("_attach")?.into(),
        server_detach: py.import("asyncio")?.getattr("Server")?.getattr("_detach")?.into(),
        weak_set: find("weakref", "WeakSet")?,
        extract_stack: find("asyncio.format_helpers", "extract_stack")?,
        iscoroutine: find("asyncio", "iscoroutine")?,
        iscoroutinefunction: find("inspect", "iscoroutinefunction")?,
        getframe: find("sys", "_getframe")?,
        queue_empty: find("queue", "Empty")?,
    };
    // A second import of the module keeps what the first has found: they are the same objects.
    let _ = NAMES.set(LockBound::new(names));
    Ok(())
}

/// What was looked up at import.
///
/// # Errors
///
/// None in practice: no method can run before the module has been imported.
#[inline]
pub(crate) fn names() -> PyResult<&'static Names> {
    let names = NAMES.get().ok_or_else(|| PySystemError::new_err("ourio._ourio is not imported"))?;
    Ok(names)
}
