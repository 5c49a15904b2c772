"""``EventLoop``: the native loop, completed by asyncio's own code for what runs once per program.

The native base decides when things run and moves the bytes of stream connections. What is not per callback
or per packet (connecting, serving, executors, signal bookkeeping, subprocesses, asynchronous generators)
is inherited from the interpreter's own ``asyncio.SelectorEventLoop``, so that it is exactly asyncio in
every version. ``docs/internals/decisions.md`` says why.
"""

import asyncio
import functools
import inspect
import os
import queue
import selectors
import signal
import socket
import sys
import threading
import time
import weakref
from asyncio import base_events, constants, format_helpers, sslproto
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ourio import _ourio
from ourio._loop.transports.datagram import _SelectorDatagramTransport
from ourio._loop.transports.tls import make_native

if TYPE_CHECKING:
    from ourio._insight.metrics import Metrics

_FORMATS_BY_DEBUG = "debug" in inspect.signature(format_helpers._format_callback_source).parameters
_asyncio_create_task = base_events.BaseEventLoop.create_task


class _WakeupDescriptor:
    """The descriptor that asyncio hands to ``signal.set_wakeup_fd``. The native loop owns it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd


class _Watches:
    """What asyncio's code may ask its selector: who watches a descriptor. It selects nothing itself."""

    def __init__(self, loop: "EventLoop") -> None:
        self._loop = loop

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        watched = self._loop._watched(fd)
        if watched is None:
            raise KeyError(f"{fileobj!r} is not registered")
        events, reader, writer = watched
        return selectors.SelectorKey(fileobj, fd, events, (reader, writer))

    def close(self) -> None:
        pass


_MOVERS = ("recv", "recv_into", "send", "sendmsg", "shutdown", "close", "fileno")


def _is_plain(sock: Any) -> bool:
    """Whether a socket moves its bytes as ``socket.socket`` does: then system calls may do it."""
    kind = type(sock)
    return kind is socket.socket or (
        issubclass(kind, socket.socket) and all(getattr(kind, name) is getattr(socket.socket, name) for name in _MOVERS)
    )


_TlsProtocol = sslproto.SSLProtocol


def _make_tls_protocol(*args: Any, **kwargs: Any) -> Any:
    """Make asyncio's TLS protocol without the 256 KiB of zeros to receive into, which would be replaced at once."""
    if sslproto.SSLProtocol is not _TlsProtocol:
        return sslproto.SSLProtocol(*args, **kwargs)
    protocol: Any = _TlsProtocol.__new__(_TlsProtocol)
    # asyncio's constructor asks the object, which is told what the class says from then on.
    protocol.max_size = 0
    _TlsProtocol.__init__(protocol, *args, **kwargs)
    del protocol.max_size
    return protocol


_getaddrinfo = socket.getaddrinfo
_PORTS = (str, int, type(None))
_CHANGEABLE = socket.AI_ADDRCONFIG | socket.AI_CANONNAME


def _are_numbers(host: str, port: Any, flags: int) -> bool:
    """Whether a host and a port are numbers, of which the system always says the same.

    Services are in a file, a canonical name would be asked for, and interfaces come and go.
    """
    if flags & _CHANGEABLE or not (port is None or type(port) is int or port.isdecimal()):
        return False
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except (OSError, ValueError):
        return False
    return True


@functools.lru_cache(maxsize=256, typed=True)
def _place_of_answer(*_question: Any) -> list[Any]:
    """Where the answer to a question about numbers is kept; empty at first."""
    return []


def _answer_about_numbers(host: Any, port: Any, *hints: int) -> list[Any] | None:
    """What the system says of numbers; ``None`` of all else, and where a program answers itself."""
    if type(host) is not str or type(port) not in _PORTS or socket.getaddrinfo is not _getaddrinfo:
        return None
    answer = _place_of_answer(host, port, *hints)
    if answer:
        sys.audit("socket.getaddrinfo", host, port, *hints[:3])
    elif _are_numbers(host, port, hints[-1]):
        # Another thread may have done the same meanwhile.
        answer[:] = _getaddrinfo(host, port, *hints)
    else:
        return None
    return answer.copy()


# Every loop that is not closed, for a process that is forked.
open_loops: "weakref.WeakSet[EventLoop]" = weakref.WeakSet()


def _renew_after_fork() -> None:
    """Separate the loops of a forked process from those of its parent: both have the same kernel objects."""
    _ourio._renew_pending_calls()
    _ourio._renew_work_queues()
    for loop in list(open_loops):
        loop._renew()


def _send_before_fork() -> None:
    """Send what a callback has written before it forks: else both processes would send it."""
    loop = asyncio._get_running_loop()
    if isinstance(loop, EventLoop):
        loop._send_waiting()


os.register_at_fork(before=_send_before_fork, after_in_child=_renew_after_fork)


def _name_of(function: Any) -> str:
    """What a job is called: ``to_thread`` runs it in a context, which is in a ``partial``."""
    while isinstance(function, functools.partial):
        runs = getattr(function.func, "__name__", "") == "run" and function.args
        function = function.args[0] if runs else function.func
    return getattr(function, "__qualname__", None) or type(function).__name__


class _RecordedJob:
    """A function that a flight recorder notes when it has run in its thread."""

    def __init__(self, loop: "EventLoop", function: Any) -> None:
        self._loop, self._function = loop, function

    def __call__(self, *args: Any) -> Any:
        began = time.monotonic()
        try:
            return self._function(*args)
        finally:
            name = _name_of(self._function)
            self._loop._record_job(name, threading.current_thread().name, began)


class EventLoop(_ourio.Loop, asyncio.SelectorEventLoop):
    """An asyncio event loop on Ourio's engine.

    Use it as any asyncio loop; every method has asyncio's meaning.

    Threads: a loop is run by one thread at a time. From other threads only ``call_soon_threadsafe``,
    ``asyncio.run_coroutine_threadsafe`` and reading its state are safe.
    """

    def __init__(self) -> None:
        super().__init__(_Watches(self))  # type: ignore[arg-type]
        self._tls_buffer: bytearray | None = None
        open_loops.add(self)

    # -- life ------------------------------------------------------------------------------------------

    #: What watches this loop: each has a ``stop``.
    _watchdogs: tuple[Any, ...] = ()
    #: How many stalls were seen, by cause.
    _stalls: dict[str, int] | None = None
    #: Where its tasks are noted while ``_tracks_tasks`` is set: has a ``note``.
    _task_book: Any = None
    #: Called with all that is reported to the exception handler, before that.
    _listen_to_reports: Any = None
    #: How many frames are noted of where a coroutine was made, while the loop runs; 0 leaves that to debug mode.
    _origin_depth = 0

    def run_forever(self) -> None:
        """Run until ``stop()`` is called."""
        self._check_closed()  # type: ignore[attr-defined]
        self._check_running()  # type: ignore[attr-defined]
        self._set_coroutine_origin_tracking(self._debug)  # type: ignore[attr-defined]
        origin_depth = sys.get_coroutine_origin_tracking_depth()
        if self._origin_depth > origin_depth:
            sys.set_coroutine_origin_tracking_depth(self._origin_depth)
        agen_hooks = sys.get_asyncgen_hooks()
        listens = self._listen_to_signals()
        try:
            self._thread_id = threading.get_ident()
            sys.set_asyncgen_hooks(
                firstiter=self._asyncgen_firstiter_hook,  # type: ignore[attr-defined]
                finalizer=self._asyncgen_finalizer_hook,  # type: ignore[attr-defined]
            )
            asyncio._set_running_loop(self)
            self._run()
        finally:
            self._stopping = False
            self._thread_id = None
            asyncio._set_running_loop(None)
            if self._origin_depth:
                sys.set_coroutine_origin_tracking_depth(origin_depth)
            self._set_coroutine_origin_tracking(False)  # type: ignore[attr-defined]
            sys.set_asyncgen_hooks(*agen_hooks)
            if listens and not self._signal_handlers:  # type: ignore[attr-defined]
                self._stop_listening_to_signals()

    def close(self) -> None:
        """Close the loop: what has not run is dropped, the default executor is shut down without waiting."""
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            return
        for watchdog in self._watchdogs:
            watchdog.stop()
        super().close()
        self._release()
        open_loops.discard(self)

    def _renew(self) -> None:
        """Take this loop over into a process that was forked."""
        inherited = self._csock
        self._renew_after_fork()
        if inherited is None:
            return
        self._close_self_pipe()
        self._make_self_pipe()
        if threading.current_thread() is threading.main_thread():
            current = signal.set_wakeup_fd(-1)
            if current == inherited.fileno():
                # asyncio (gh-66197): else a signal of the child would be handled by its parent.
                current = self._signal_fd() if self._signal_handlers else -1  # type: ignore[attr-defined]
            signal.set_wakeup_fd(current)

    def _listen_to_signals(self) -> bool:
        """Have signals wake the loop, so that none waits for the next event. Only Python's main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return False
        before = signal.set_wakeup_fd(self._signal_fd(), warn_on_full_buffer=False)
        if before not in (-1, self._signal_fd()):
            # Somebody else's; a signal then still interrupts the wait itself.
            signal.set_wakeup_fd(before)
            return False
        return True

    def _stop_listening_to_signals(self) -> None:
        current = signal.set_wakeup_fd(-1)
        if current != self._signal_fd():
            # The program has set another meanwhile.
            signal.set_wakeup_fd(current)

    def _make_self_pipe(self) -> None:
        self._csock: _WakeupDescriptor | None = _WakeupDescriptor(self._signal_fd())
        self._ssock: _WakeupDescriptor | None = self._csock
        self._internal_fds = 1

    def _close_self_pipe(self) -> None:
        self._csock = self._ssock = None
        self._internal_fds = 0

    # -- insight ---------------------------------------------------------------------------------------

    def metrics(self) -> "Metrics":
        """Read what the loop has done, in numbers; from any thread, at any time.

        Returns:
            The numbers of this moment. A rate is the difference of two readings.
        """
        from ourio._insight import metrics

        return metrics.read(self)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Run a function in another thread or process; return a future of its result."""
        if executor is None and self._default_executor is None:
            self._make_default_executor()
        if self._is_recording and (executor is None or isinstance(executor, ThreadPoolExecutor)):
            return super().run_in_executor(executor, _RecordedJob(self, func), *args)
        return super().run_in_executor(executor, func, *args)

    def _make_default_executor(self) -> None:
        """Make asyncio's executor, whose threads wait for their jobs in our way; unless it is too late for one."""
        if self._executor_shutdown_called:  # type: ignore[attr-defined]
            return
        executor = ThreadPoolExecutor(thread_name_prefix="asyncio")
        self._adopt(executor)
        self._default_executor = executor

    def set_default_executor(self, executor: Executor) -> None:
        """Set the executor of ``run_in_executor(None, ...)`` and ``asyncio.to_thread``."""
        super().set_default_executor(executor)  # type: ignore[arg-type]  # It says what it takes.
        if type(executor) is ThreadPoolExecutor:
            self._adopt(executor)

    def _adopt(self, executor: Any) -> None:
        """Have an executor's threads wait for their jobs in our way, if none has begun to wait in another."""
        with executor._shutdown_lock:  # As in submit().
            jobs = executor._work_queue
            if type(jobs) is queue.SimpleQueue and jobs.empty() and not executor._threads:
                jobs = executor._work_queue = _ourio.WorkQueue()
        if type(jobs) is _ourio.WorkQueue:
            self._watch_jobs(jobs)

    # -- callbacks -------------------------------------------------------------------------------------

    def _create_task(self, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        """asyncio's own ``create_task``, for all but the plainest call."""
        task = _asyncio_create_task(self, coro, **kwargs)
        try:
            if self._tracks_tasks:
                self._task_book.note(task)
            return task
        finally:
            # asyncio (gh-128552): no cycle of a task's exception, this frame and the task.
            del task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report what went wrong to the loop's exception handler."""
        if self._listen_to_reports is not None:
            self._listen_to_reports(context)
        super().call_exception_handler(context)

    def _callback_failed(self, handle: Any, exc: BaseException) -> None:
        """Report what a callback has raised, in asyncio's words."""
        callback = self._format_callback(handle._callback, handle._args or ())
        context = {"message": f"Exception in callback {callback}", "exception": exc, "handle": handle}
        if handle._source_traceback:
            context["source_traceback"] = handle._source_traceback
        self.call_exception_handler(context)

    def _format_callback(self, callback: Any, args: Any) -> str:
        if _FORMATS_BY_DEBUG:
            # asyncio (gh-103714): arguments may hold secrets, so they are shown in debug mode only.
            return format_helpers._format_callback_source(callback, args, debug=self._debug)
        return format_helpers._format_callback_source(callback, args)

    def _run_timed(self, handle: Any) -> None:
        """Run a handle in debug mode, and name it if it was slow."""
        self._current_handle = handle
        try:
            started = self.time()
            handle._run()
            took = self.time() - started
            if took >= self.slow_callback_duration:
                base_events.logger.warning(  # type: ignore[attr-defined]
                    "Executing %s took %.3f seconds",
                    base_events._format_handle(handle),  # type: ignore[attr-defined]
                    took,
                )
        finally:
            self._current_handle = None
            # asyncio: a traceback that outlives this frame must not keep the handle, hence its task.
            del handle

    def _name_if_slow(self, transport: Any, took: float) -> None:
        """Name a transport whose protocol was slow, in debug mode."""
        if took >= self.slow_callback_duration:
            base_events.logger.warning(  # type: ignore[attr-defined]
                "Executing %r took %.3f seconds", transport, took
            )

    # -- names -----------------------------------------------------------------------------------------

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """Resolve a host and a port, as ``socket.getaddrinfo``. Numbers need no resolver, and so no thread."""
        answer = None
        if not (self._debug or self._executor_shutdown_called):  # type: ignore[attr-defined]
            answer = _answer_about_numbers(host, port, family, type, proto, flags)
        if answer is None:
            answer = await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        return answer

    # -- sockets ---------------------------------------------------------------------------------------

    async def sock_recv(self, sock: Any, n: int) -> bytes:
        """Receive up to n bytes from a non-blocking socket; none at the end of the stream."""
        while (data := self._receive_now(sock, n)) is None:
            fd, waiter = sock.fileno(), self._wait_readable(sock)
            try:
                await waiter
            except BaseException:
                self._stop_waiting(fd, waiter)
                raise
        return data

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """Receive from a non-blocking socket into a writable buffer; return the number of bytes."""
        while (count := self._receive_into_now(sock, buf)) is None:
            fd, waiter = sock.fileno(), self._wait_readable(sock)
            try:
                await waiter
            except BaseException:
                self._stop_waiting(fd, waiter)
                raise
        return count

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """Send all of data on a non-blocking socket."""
        sent = self._send_now(sock, data)
        if sent == len(data):
            return
        with memoryview(data) as view, view.cast("B") as rest:
            while sent < len(rest):
                fd, waiter = sock.fileno(), self._wait_writable(sock)
                try:
                    await waiter
                except BaseException:
                    self._stop_waiting(fd, waiter)
                    raise
                sent += self._send_now(sock, rest[sent:])

    def _check_socket(self, sock: Any) -> None:
        base_events._check_ssl_socket(sock)  # type: ignore[attr-defined]
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    def _receive_checked(self, sock: Any, n: int) -> bytes | None:
        self._check_socket(sock)
        try:
            return sock.recv(n)  # type: ignore[no-any-return]
        except (BlockingIOError, InterruptedError):
            return None

    def _receive_into_checked(self, sock: Any, buf: Any) -> int | None:
        self._check_socket(sock)
        try:
            return sock.recv_into(buf)  # type: ignore[no-any-return]
        except (BlockingIOError, InterruptedError):
            return None

    def _send_checked(self, sock: Any, data: Any) -> int:
        self._check_socket(sock)
        try:
            return sock.send(data)  # type: ignore[no-any-return]
        except (BlockingIOError, InterruptedError):
            return 0

    # -- connections -----------------------------------------------------------------------------------

    def _make_socket_transport(
        self,
        sock: Any,
        protocol: Any,
        waiter: Any = None,
        *,
        extra: Any = None,
        server: Any = None,
        context: Any = None,
    ) -> Any:
        if not _is_plain(sock):
            # An object of the program's own that only behaves as a socket: its methods move the bytes.
            own = {} if context is None else {"context": context}
            return super()._make_socket_transport(  # type: ignore[misc]
                sock, protocol, waiter, extra=extra, server=server, **own
            )
        transport = _ourio.StreamTransport(self, sock, protocol, waiter, extra, server, context)
        transport._start()
        return transport

    def _make_datagram_transport(self, sock: Any, protocol: Any, *args: Any, **kwargs: Any) -> Any:
        if sock.family != socket.AF_INET or type(sock) is not socket.socket:
            return super()._make_datagram_transport(sock, protocol, *args, **kwargs)  # type: ignore[misc]
        self._ensure_fd_no_transport(sock)  # type: ignore[attr-defined]
        return _SelectorDatagramTransport(self, sock, protocol, *args, **kwargs)

    def _share_tls_buffer(self, protocol: Any) -> None:
        """Have a TLS connection receive into the loop's one buffer instead of 256 KiB of its own.

        What is received is copied into OpenSSL's before anything else can run, so no two need it at once. An idle
        connection then holds some 45 KiB, where asyncio's holds 300.
        """
        if type(protocol) is not sslproto.SSLProtocol:
            return
        if self._tls_buffer is None:
            self._tls_buffer = bytearray(sslproto.SSLProtocol.max_size)
        make_native(protocol)
        protocol._ssl_buffer = self._tls_buffer  # type: ignore[attr-defined]
        protocol._ssl_buffer_view = memoryview(self._tls_buffer)  # type: ignore[attr-defined]

    def _make_ssl_transport(
        self,
        rawsock: Any,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        ssl_handshake_timeout: Any = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: Any = constants.SSL_SHUTDOWN_TIMEOUT,
        context: Any = None,
    ) -> Any:
        self._ensure_fd_no_transport(rawsock)  # type: ignore[attr-defined]
        ssl_protocol = _make_tls_protocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        self._share_tls_buffer(ssl_protocol)
        self._make_socket_transport(rawsock, ssl_protocol, extra=extra, server=server, context=context)
        return ssl_protocol._app_transport
