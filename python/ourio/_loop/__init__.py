"""``EventLoop``: the native loop, completed by asyncio's own code for what runs once per program.

The native base decides when things run and moves the bytes of stream connections. What is not per callback
or per packet (connecting, serving, executors, signal bookkeeping, subprocesses, asynchronous generators)
is inherited from the interpreter's own ``asyncio.SelectorEventLoop``, so that it is exactly asyncio in
every version. ``docs/internals/decisions.md`` says why.

The class is put together here, from one part per noun, each in a file of its own; what is left for here is its life.
The parts know each other only where one is made from another, and nothing here knows who observes a loop.
"""

import asyncio
import sys
import threading
import weakref
from typing import Protocol

from ourio._loop.executor import Executor
from ourio._loop.forks import Forks, separate_children
from ourio._loop.metrics import Metered, Metrics
from ourio._loop.registrations import Registrations
from ourio._loop.reports import Reports
from ourio._loop.resolver import Resolver
from ourio._loop.sockets import Sockets
from ourio._loop.tasks import Tasks
from ourio._loop.transports import Transports

__all__ = ["EventLoop", "Metrics", "open_loops"]


class _Stoppable(Protocol):
    def stop(self) -> None: ...


class EventLoop(Tasks, Transports, Sockets, Resolver, Executor, Forks, Reports, Metered):
    """An asyncio event loop on Ourio's engine.

    Use it as any asyncio loop; every method has asyncio's meaning.

    Threads: a loop is run by one thread at a time. From other threads only ``call_soon_threadsafe``,
    ``asyncio.run_coroutine_threadsafe`` and reading its state are safe.
    """

    #: What observes this loop, and is stopped when it is closed.
    _observers: tuple[_Stoppable, ...] = ()
    #: How many frames are noted of where a coroutine was made, while the loop runs; 0 leaves that to debug mode.
    _origin_depth = 0

    def __init__(self) -> None:
        super().__init__(Registrations(self))  # type: ignore[arg-type]
        open_loops.add(self)

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
        for observer in self._observers:
            observer.stop()
        super().close()
        self._release()
        open_loops.discard(self)


#: Every loop that is not closed.
open_loops: "weakref.WeakSet[EventLoop]" = weakref.WeakSet()
separate_children(open_loops)
