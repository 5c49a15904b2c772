"""``Monitor``: shows the loops of this process to ``ourio top`` and the other commands, and to a browser.

A native thread serves what the loops publish, whatever the interpreter does. What only Python objects know (tasks, what
they wait for) is answered by a thread here, which needs the interpreter's lock; while native code keeps that, the
answer says so.
"""

import atexit
import json
import logging
import os
import sys
import threading
import time
import weakref
from typing import Any

from ourio import _ourio
from ourio._insight import program
from ourio._insight.deadlock import Deadlock
from ourio._insight.deadlock.detector import DeadlockDetector
from ourio._insight.monitor.answers import Answers
from ourio._insight.stalls import Stall, Watchdog
from ourio._insight.tasks import forgotten
from ourio._insight.tasks.forgotten import ForgottenAwait
from ourio._insight.tasks.registry import TaskRegistry
from ourio._insight.tasks.reports import Flood, LostException
from ourio._loop import EventLoop, open_loops

_logger = logging.getLogger("ourio")


class Monitor:
    """The monitor of this process, while one is on.

    Args:
        http: An address and a port at which a browser finds the dashboard; ``None`` for the local socket alone.

    Raises:
        OSError: There is no room for its socket, or another user has its folder.
        ValueError: ``http`` is no address.
    """

    #: The one that is on.
    current: "Monitor | None" = None
    _changing = threading.Lock()

    def __init__(self, http: str | None = None) -> None:
        host = f"{sys.implementation.name} {sys.version.split()[0]}"
        self._native = _ourio.Monitor(program.name(), host, http)
        self._loops: dict[str, weakref.ref[EventLoop]] = {}
        self._registries: dict[str, TaskRegistry] = {}
        self._answers = Answers(self._loops, self._registries)
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._answer_all, name="ourio-answers", daemon=True)
        self._thread.start()
        # Else the socket of an ended process stays.
        atexit.register(self._stop)

    @property
    def url(self) -> str | None:
        """Where a browser finds the dashboard, with the token; ``None`` if nobody asked for that."""
        return self._native.url

    @property
    def path(self) -> str:
        """The local socket."""
        return self._native.path

    @classmethod
    def show(
        cls, loop: EventLoop, *, http: str | None = None, tasks: bool = False, threshold: float = 0.1
    ) -> "Monitor":
        """Show a loop, until it is closed. The monitor is started with the first and stopped with the last one.

        Args:
            loop: The loop.
            http: As for :class:`Monitor`, if it is started.
            tasks: Whether to note where each task is made, which makes making one a few times slower.
            threshold: Seconds after which a turn is a stall.
        """
        with cls._changing:
            monitor = cls.current
            if monitor is None or monitor._process != os.getpid():
                monitor = cls.current = cls(http)
                if monitor.url is not None:
                    print(f"ourio: the dashboard is at {monitor.url}", file=sys.stderr, flush=True)
            monitor._add(loop, tasks, threshold)
        return monitor

    def _add(self, loop: EventLoop, tasks: bool, threshold: float) -> None:
        name = base = _thread_of(loop)
        number = 1
        while name in self._loops:
            number += 1
            name = f"{base} ({number})"
        self._loops[name] = weakref.ref(loop)
        loop._observers = (*loop._observers, _Shown(self, name))
        if not any(isinstance(observer, Watchdog) for observer in loop._observers):
            Watchdog(loop, threshold).start()
        for observer in loop._observers:
            if isinstance(observer, Watchdog):
                observer.listeners = (*observer.listeners, self._see_stall)
            elif isinstance(observer, DeadlockDetector):
                observer.listeners = (*observer.listeners, self._see_deadlock)
        if tasks:
            if not self._registries:
                forgotten.listen(self._see_forgotten)
            loop._origin_depth = forgotten.DEPTH
            registry = self._registries[name] = TaskRegistry(loop, self._see_lost, self._see_flood)
            registry.start()
        self._native.add(loop, name)

    def _remove(self, name: str) -> None:
        if self._process != os.getpid():
            # A forked process has none of its threads, and perhaps a lock of theirs.
            return
        with self._changing:
            self._native.remove(name)
            self._loops.pop(name, None)
            if self._registries.pop(name, None) is not None and not self._registries:
                forgotten.unlisten(self._see_forgotten)
            is_last = not self._loops
            if is_last and Monitor.current is self:
                Monitor.current = None
        if is_last:
            self._stop()

    def _stop(self) -> None:
        atexit.unregister(self._stop)
        if self._process == os.getpid():
            self._native.stop()
            if self._thread is not threading.current_thread() and not sys.is_finalizing():
                self._thread.join()

    # -- what happens ----------------------------------------------------------------------------------

    def _see_stall(self, stall: Stall) -> None:
        stack = "".join(stall.stack.format())
        self._note(
            "stall", str(stall), f"{stall}\n\n{stack}", cause=stall.cause, duration=stall.duration, over=stall.over
        )

    def _see_deadlock(self, deadlock: Deadlock) -> None:
        self._note("deadlock", str(deadlock), grade=deadlock.grade)

    def _see_lost(self, lost: LostException) -> None:
        _logger.error("%s", lost, extra={"lost_exception": lost})
        self._note("exception", str(lost))

    def _see_flood(self, flood: Flood) -> None:
        _logger.warning("%s", flood, extra={"flood": flood})
        self._note("flood", str(flood))

    def _see_forgotten(self, told: ForgottenAwait) -> None:
        _logger.error("%s", told, extra={"forgotten_await": told})
        self._note("forgotten", str(told))

    def _note(self, kind: str, text: str, details: str | None = None, **more: Any) -> None:
        if self._process != os.getpid():
            return
        self._native.note(kind, json.dumps({"time": time.time(), "text": text, "details": details or text, **more}))

    # -- what is asked ---------------------------------------------------------------------------------

    def _answer_all(self) -> None:
        wakeup = self._native.fileno()
        while not self._native.is_stopped() and os.read(wakeup, 1):
            for number, name, argument in self._native.questions():
                try:
                    answer = self._answers.answer(name, argument)
                except Exception as error:
                    _logger.exception("the monitor could not answer %r", name)
                    answer = json.dumps({"error": repr(error)})
                self._native.answer(number, answer)


def _thread_of(loop: EventLoop) -> str:
    """The name of the thread that runs a loop, or else of the one that asks."""
    number = loop._thread_id
    # A thread that is being started has no number either.
    running = [thread.name for thread in threading.enumerate() if number is not None and thread.ident == number]
    return running[0] if running else threading.current_thread().name


class _Shown:
    """Stands among who observes a loop, so that closing the loop takes it from the monitor."""

    def __init__(self, monitor: Monitor, name: str) -> None:
        self._monitor, self._name = monitor, name

    def stop(self) -> None:
        self._monitor._remove(self._name)


def show_process(http: str | None = None) -> None:
    """Show every open loop of this process: what a command runs in a process that was not prepared."""
    for loop in list(open_loops):
        if not any(isinstance(observer, _Shown) for observer in loop._observers):
            Monitor.show(loop, http=http)
