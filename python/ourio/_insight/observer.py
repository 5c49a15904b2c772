"""``Observer``: what those who observe a loop have in common: a thread that looks now and then, until it is closed.

An observer keeps no loop alive. Closing a loop stops who observes it, so that no thread outlives its use.
"""

import sys
import threading
import weakref
from collections.abc import Callable

from ourio._loop import EventLoop
from ourio._ourio import _own_delay


class PromptObserver:
    """Who must see a loop at once, when the interpreter's lock was kept from all threads for long."""

    def catch_up(self, delayed: float) -> None:
        """Look, from another thread of ours: the loop may go on as soon as that lets go of the lock.

        Args:
            delayed: Seconds for which that thread has had no processor while it waited.
        """
        raise NotImplementedError


class Observer:
    """Observes one loop.

    Args:
        loop: The loop.
    """

    def __init__(self, loop: EventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def _begin(self, loop: EventLoop, look: Callable[[], None] | None, name: str = "") -> None:
        """Be stopped with the loop, and have a thread look, if there is something to be looked at from one."""
        loop._observers = (*loop._observers, self)
        if look is not None:
            # A daemon: a program ends whether or not its loop was closed.
            self._thread = threading.Thread(target=look, name=name, daemon=True)
            self._thread.start()

    def _wait(self, seconds: float) -> bool:
        """Wait, in the thread; whether the observer has ended.

        Whoever waits for the interpreter's lock gets it in no order. If this thread does so before one that only waited
        to see what the loop is blocked by, it looks on behalf of that.
        """
        before = _own_delay()
        has_ended = self._ended.wait(seconds)
        loop = self._loop()
        for other in () if loop is None or has_ended else loop._observers:
            if isinstance(other, PromptObserver):
                other.catch_up(_own_delay() - before)
        return has_ended

    def stop(self) -> None:
        """Observe no more. What the thread does at the moment is waited for."""
        loop = self._loop()
        if loop is not None:
            loop._observers = tuple(other for other in loop._observers if other is not self)
        self._ended.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread() and not sys.is_finalizing():
            thread.join()
