"""``Monitor``: shows the loops of this process to ``ourio top`` and the other commands, and to a browser.

A native thread serves what the loops publish, whatever the interpreter does. What only Python objects know (tasks, what
they wait for) is answered by a thread here, which needs the interpreter's lock; while native code keeps that, the
answer says so.
"""

import asyncio
import atexit
import base64
import json
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from ourio import _ourio
from ourio._insight import exporters, waits
from ourio._insight.deadlock import Deadlock, DeadlockWatch
from ourio._insight.recorder import FlightRecorder
from ourio._insight.stalls.watchdog import Stall, Watchdog
from ourio._insight.tasks import forgotten
from ourio._insight.tasks.forgotten import ForgottenAwait
from ourio._insight.tasks.registry import Flood, LostException, TaskBook
from ourio._loop import EventLoop

_logger = logging.getLogger("ourio")

# So many tasks are described in an answer, and looked at for who holds what.
_TASKS_MAX = 1000
_LOOKED_MAX = 5000
# A task waits for one that waits for one: told up to here.
_WHY_MAX = 50


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
        self._native = _ourio.Monitor(program(), host, http)
        self._loops: dict[str, weakref.ref[EventLoop]] = {}
        self._books: dict[str, TaskBook] = {}
        # Those that a command has started.
        self._recorders: list[FlightRecorder] = []
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
            elif isinstance(observer, DeadlockWatch):
                observer.listeners = (*observer.listeners, self._see_deadlock)
        if tasks:
            if not self._books:
                forgotten.listen(self._see_forgotten)
            loop._origin_depth = forgotten.DEPTH
            book = self._books[name] = TaskBook(loop, self._see_lost, self._see_flood)
            book.start()
        self._native.add(loop, name)

    def _remove(self, name: str) -> None:
        if self._process != os.getpid():
            # A forked process has none of its threads, and perhaps a lock of theirs.
            return
        with self._changing:
            self._native.remove(name)
            self._loops.pop(name, None)
            if self._books.pop(name, None) is not None and not self._books:
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
        bell = self._native.fileno()
        while not self._native.is_stopped() and os.read(bell, 1):
            for number, name, argument in self._native.questions():
                try:
                    answer = self._answer(name, argument)
                except Exception as error:
                    _logger.exception("the monitor could not answer %r", name)
                    answer = json.dumps({"error": repr(error)})
                self._native.answer(number, answer)

    def _answer(self, name: str, argument: str) -> str:
        match name:
            case "tasks":
                return json.dumps(self._tasks())
            case "sites":
                return json.dumps(self._sites())
            case "why":
                return json.dumps(self._why(argument))
            case "trace":
                return json.dumps(self._trace(argument))
            case "metrics":
                return exporters.prometheus(self._living())
            case _:
                return json.dumps({"error": f"there is no answer to {name!r}"})

    def _living(self) -> list[tuple[str, EventLoop]]:
        found = [(name, loop()) for name, loop in list(self._loops.items())]
        return [(name, loop) for name, loop in found if loop is not None]

    def _all_tasks(self) -> Iterator[tuple[str, "asyncio.Task[Any]"]]:
        for name, loop in self._living():
            for task in asyncio.all_tasks(loop):
                yield name, task

    def _tasks(self) -> dict[str, Any]:
        everything = list(self._all_tasks())
        noted: dict[int, Any] = {}
        for book in list(self._books.values()):
            noted.update(book.notes())
        if noted:
            everything.sort(key=lambda one: -noted[id(one[1])][1] if id(one[1]) in noted else 0.0)
        held = waits.owners([task for _, task in everything[:_LOOKED_MAX]])
        told = [_described(name, task, held, noted.get(id(task))) for name, task in everything[:_TASKS_MAX]]
        return {"total": len(everything), "tasks": told}

    def _sites(self) -> dict[str, Any]:
        found = []
        for book in list(self._books.values()):
            book.look()
            for site in book.sites()[:100]:
                place = site.place
                found.append(
                    {
                        "file": place.filename,
                        "line": place.lineno,
                        "function": place.function,
                        "live": site.live,
                        "created": site.created,
                        "rate": site.rate,
                        "oldest": site.oldest,
                    }
                )
        return {"noted": bool(self._books), "sites": found}

    def _trace(self, argument: str) -> dict[str, Any]:
        """Begin to record, or tell what was recorded: of each loop."""
        for _, loop in self._living():
            if argument == "start" and not loop._is_recording:
                recorder = FlightRecorder(loop)
                recorder.start()
                self._recorders.append(recorder)
        if argument == "start":
            return {"recording": [name for name, _ in self._living()]}
        traces = {}
        for name, loop in self._living():
            traced = loop._trace(program(), name)
            if traced is not None:
                traces[name] = {"trace": base64.b64encode(traced[0]).decode(), "lost": traced[1]}
        if argument == "stop":
            for recorder in self._recorders:
                recorder.stop()
            self._recorders.clear()
        return {"traces": traces}

    def _why(self, wanted: str) -> dict[str, Any]:
        """What a task waits for, what that waits for, and so on."""
        everything = list(self._all_tasks())
        held = waits.owners([task for _, task in everything[:_LOOKED_MAX]])
        names = {task: name for name, task in everything}
        task = next((one for _, one in everything if one.get_name() == wanted or str(id(one)) == wanted), None)
        if task is None:
            return {"error": f"there is no task {wanted!r}"}
        chain: list[dict[str, Any]] = []
        seen = set()
        while task is not None and task not in seen and len(chain) < _WHY_MAX:
            seen.add(task)
            told = _described(names.get(task, "?"), task, held, None)
            told["stack"] = [str(place) for place in waits.stack(task)]
            chain.append(told)
            following = [other for other in waits.wait_of(task, held).tasks if not other.done()]
            task = following[0] if following else None
        return {"chain": chain, "circle": chain[0]["name"] if task is not None and task in seen else None}


def _thread_of(loop: EventLoop) -> str:
    """The name of the thread that runs a loop, or else of the one that asks."""
    number = loop._thread_id
    # A thread that is being started has no number either.
    running = [thread.name for thread in threading.enumerate() if number is not None and thread.ident == number]
    return running[0] if running else threading.current_thread().name


class _Shown:
    """Stands among what watches a loop, so that closing the loop takes it from the monitor."""

    def __init__(self, monitor: Monitor, name: str) -> None:
        self._monitor, self._name = monitor, name

    def stop(self) -> None:
        self._monitor._remove(self._name)


def show_process(http: str | None = None) -> None:
    """Show every open loop of this process: what a command runs in a process that was not prepared."""
    from ourio._loop import open_loops

    for loop in list(open_loops):
        if not any(isinstance(observer, _Shown) for observer in loop._observers):
            Monitor.show(loop, http=http)


def _described(
    loop: str, task: "asyncio.Task[Any]", held: dict[int, list["asyncio.Task[Any]"]], noted: Any
) -> dict[str, Any]:
    wait = waits.wait_of(task, held)
    place = waits.place(task)
    created, age = noted if noted is not None else (None, None)
    coroutine: Any = task.get_coro()
    return {
        "id": id(task),
        "loop": loop,
        "name": task.get_name(),
        "coroutine": getattr(coroutine, "__qualname__", type(coroutine).__name__),
        "state": "waiting" if wait.kind != "nothing" else "ready",
        "waits_for": wait.text,
        "kind": wait.kind,
        "held_by": [id(other) for other in wait.tasks],
        "is_held": wait.is_held,
        "holders": [other.get_name() for other in wait.tasks],
        "age": age,
        "file": place.filename if place else None,
        "line": place.lineno if place else None,
        "function": place.function if place else None,
        "created": f"{created.filename}:{created.lineno}" if created else None,
    }


def program() -> str:
    """What this process runs, as a user would name it."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name not in ("__main__", "ourio.__main__"):
        return str(spec.name).removesuffix(".__main__")
    return os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
