"""Slow shutdowns: what a program still waits for when its main coroutine is over.

``asyncio.Runner.close`` cancels what is left and waits for it, for asynchronous generators and for the threads of the
default executor. A thread looks a few times per second whether a loop's thread is in there; what holds it up is read
while it does.
"""

import asyncio
import sys
import threading
import time
from asyncio import runners
from collections.abc import Callable
from concurrent.futures import thread as pool
from dataclasses import dataclass
from typing import Any

from ourio._insight import places, waits
from ourio._insight.observer import Observer
from ourio._insight.places import Place
from ourio._loop import EventLoop

_LOOK = 0.1
_CLOSING = runners.Runner.close.__code__


@dataclass(frozen=True)
class SlowShutdown:
    """A loop whose end takes, or took, long.

    Attributes:
        duration: Seconds so far.
        holders: Who holds it up: a text, and the line at which it is.
    """

    duration: float
    holders: tuple[tuple[str, Place | None], ...]

    def __str__(self) -> str:
        names = ", ".join(f"{text} at {place}" if place else text for text, place in self.holders)
        return f"the end of the program takes {self.duration:.1f} s: {names or 'unknown'}"


class ShutdownObserver(Observer):
    """Looks whether a loop takes long to end.

    Args:
        loop: The loop.
        on_slow: Called with a :class:`SlowShutdown`, in the observer's thread, each time that who holds it up changes,
            and at the end with the whole time.
        limit: Seconds that it may take.
    """

    def __init__(self, loop: EventLoop, on_slow: Callable[[SlowShutdown], object], limit: float = 1.0) -> None:
        super().__init__(loop)
        self._on_slow = on_slow
        self._limit = limit

    def start(self) -> None:
        """Begin to look."""
        loop = self._loop()
        if loop is None:
            return
        self._begin(loop, self._look, "ourio-shutdown")

    def _look(self) -> None:
        since, told = None, None
        while not self._wait(_LOOK):
            loop = self._loop()
            thread = None if loop is None else loop._thread_id
            if loop is None or (loop.is_closed() and thread is None):
                return
            if thread is None or not _is_closing(thread):
                continue
            since = since or time.monotonic()
            took = time.monotonic() - since
            if took < self._limit:
                continue
            holders = _holders(loop)
            if holders != told:
                told = holders
                self._on_slow(SlowShutdown(took, holders))
            del loop
        if since is not None and told is not None:
            # The loop is closed: that was the whole time.
            self._on_slow(SlowShutdown(time.monotonic() - since, told))


def _is_closing(thread: int) -> bool:
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code is _CLOSING:
            return True
        frame = frame.f_back
    return False


def _holders(loop: EventLoop) -> tuple[tuple[str, Place | None], ...]:
    try:
        pending = asyncio.all_tasks(loop)
    except RuntimeError:
        return ()
    held = [task for task in pending if not _is_of_runner(task)]
    found: list[tuple[str, Place | None]] = [
        (f"task {task.get_name()!r} goes on after it was cancelled", waits.place(task)) for task in held
    ]
    if not found:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            frame: Any = frames.get(thread.ident or 0)
            innermost, is_pool = frame, False
            while frame is not None:
                is_pool = is_pool or frame.f_code is pool._worker.__code__
                frame = frame.f_back
            if is_pool and innermost.f_code is not pool._worker.__code__:
                found.append((f"a job in thread {thread.name!r}", places.of_frame(innermost)))
    return tuple(sorted(found, key=lambda one: one[0]))


def _is_of_runner(task: "asyncio.Task[Any]") -> bool:
    """Whether a task is one that the runner itself waits in."""
    code: Any = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_name in ("shutdown_asyncgens", "shutdown_default_executor")
