"""``FlightRecorder``: the last things that a loop has done, as a trace for https://ui.perfetto.dev.

The ring is native and of fixed size; what is here starts it, adds what only Python sees (collections of garbage), and
writes it down: on demand, at a stall, or when the loop is closed.
"""

import contextlib
import gc
import os
import threading
import time
import weakref
from typing import Any, Self

from ourio._insight import program
from ourio._insight.stalls import Stall, Watchdog
from ourio._loop import EventLoop

#: Records that are kept by default: 24 bytes each, so 3 MiB.
CAPACITY = 1 << 17
# A stall's trace is written at most so often.
_REPEAT = 10.0


class FlightRecorder:
    """Records what a loop does: task steps, callbacks, I/O, what woke what, executor jobs, collections of garbage.

    It goes on until :meth:`stop`, or until the loop is closed. The oldest records are overwritten.

    Args:
        loop: The loop.
        capacity: How many records are kept, 24 bytes each.
        on_close: A file that the trace is written to when the loop is closed; ``None`` writes none.
        on_stall: A folder that a trace is written to at each stall that a watchdog of the loop reports, at most every
            ten seconds; ``None`` writes none.

    Raises:
        ValueError: ``capacity`` is not positive.
    """

    def __init__(
        self,
        loop: EventLoop,
        capacity: int = CAPACITY,
        *,
        on_close: str | os.PathLike[str] | None = None,
        on_stall: str | os.PathLike[str] | None = None,
    ) -> None:
        if capacity <= 0:
            raise ValueError("capacity must be positive")
        self._loop = weakref.ref(loop)
        self._capacity = capacity
        self._on_close, self._on_stall = on_close, on_stall
        self._process = os.getpid()
        self._stalled_at = -_REPEAT
        self._collecting_since = 0.0

    def start(self) -> None:
        """Begin to record. What was recorded before is forgotten.

        Raises:
            RuntimeError: The loop is closed or gone.
        """
        loop = self._loop()
        if loop is None or loop.is_closed():
            raise RuntimeError("Event loop is closed")
        loop._record(self._capacity)
        if self not in loop._observers:
            loop._observers = (self, *loop._observers)
            gc.callbacks.append(self._collecting)
        for observer in loop._observers:
            if self._on_stall is not None and isinstance(observer, Watchdog):
                observer.listeners = (*observer.listeners, self._see_stall)

    def stop(self) -> None:
        """Record no more. The file for the loop's end is written now, if there is to be one."""
        loop = self._loop()
        with contextlib.suppress(ValueError):
            gc.callbacks.remove(self._collecting)
        if loop is None or self not in loop._observers:
            return
        loop._observers = tuple(other for other in loop._observers if other is not self)
        try:
            # The file is the process's own, not that of one that was forked.
            if self._on_close is not None and self._process == os.getpid():
                self.write(self._on_close)
        finally:
            loop._stop_recording()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def trace(self) -> bytes:
        """What was recorded, as a Perfetto trace; from any thread.

        Raises:
            RuntimeError: Nothing records.
        """
        loop = self._loop()
        traced = None if loop is None else loop._trace(program.name(), threading.current_thread().name)
        if traced is None:
            raise RuntimeError("nothing is recorded")
        return traced[0]

    def write(self, file: str | os.PathLike[str]) -> None:
        """Write what was recorded to a file that https://ui.perfetto.dev opens.

        Raises:
            RuntimeError: Nothing records.
            OSError: The file cannot be written.
        """
        trace = self.trace()
        with open(file, "wb") as opened:
            opened.write(trace)

    def _collecting(self, phase: str, _info: dict[str, Any]) -> None:
        loop = self._loop()
        if phase == "start":
            self._collecting_since = time.monotonic()
        elif loop is not None and loop._thread_id == threading.get_ident():
            loop._record_collection(self._collecting_since)

    def _see_stall(self, stall: Stall) -> None:
        now = time.monotonic()
        if not stall.over or now - self._stalled_at < _REPEAT or self._on_stall is None:
            return
        self._stalled_at = now
        self.write(os.path.join(self._on_stall, f"stall-{os.getpid()}-{time.time():.0f}.pftrace"))
