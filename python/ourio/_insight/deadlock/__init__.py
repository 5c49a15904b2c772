"""Deadlocks: every task waits, and nothing is there that could wake one.

The loop asks before it would sleep without an end: nothing is ready, no timer runs, no descriptor is watched. That is
rare, so asking costs nothing that can be measured. What is left that could wake it is looked for: other threads, of
Python or not, and handlers of signals. If there is nothing, the deadlock is *definite*. If there is, and for two
seconds neither the loop nor any other thread has moved, it is *probable*, and what could still wake it is named.

Tasks that wait for each other in a circle are stuck even while others run. That takes a look at all tasks, so it is
done every few seconds, from a thread, and only for who has asked for deadlocks explicitly.
"""

import asyncio
import contextlib
import linecache
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import thread as pool
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ourio import _ourio
from ourio._insight import waits
from ourio._insight.observer import LoopWatch
from ourio._loop import EventLoop, open_loops

_logger = logging.getLogger("ourio")

OnDeadlock = Literal["report", "raise", "ignore"]
CHOICES: Final = ("report", "raise", "ignore")

# What could wake the loop has had its time after this.
_QUIET = 2.0
# A thread that has had a processor for less, between two looks, has not got on.
_USED = 0.001
# A look for circles takes at most this share of the time.
_SHARE = 0.01
# So many tasks are written into a report.
_SHOWN_MAX = 50
# Threads of ours, which wake no loop.
_OURS = "ourio-"
# What a task may wait for without anything of the system taking part.
_INNER = {"task", "tasks", "lock", "event", "condition", "semaphore", "barrier", "queue", "future"}


@dataclass(frozen=True)
class StuckTask:
    """A task of a deadlock.

    Attributes:
        name: The task's name.
        waits_for: What it waits for, in words.
        kind: What that is: ``"task"``, ``"tasks"``, ``"lock"``, ``"event"``, ``"condition"``, ``"semaphore"``,
            ``"barrier"``, ``"queue"``, ``"future"``, or something of the system.
        held_by: The names of the tasks that hold it, or that it waits for.
        is_held: Whether they hold it.
        filename: The file of the innermost line of the program's own code that it is at; ``None`` if it has none.
        lineno: That line.
        function: Its function.
    """

    name: str
    waits_for: str
    kind: str
    held_by: tuple[str, ...] = ()
    is_held: bool = False
    filename: str | None = None
    lineno: int | None = None
    function: str | None = None

    def __str__(self) -> str:
        text = f"task {self.name!r} waits for {self.waits_for}"
        if self.held_by:
            text += (" held by " if self.is_held else ": ") + ", ".join(map(repr, self.held_by))
        if self.filename is not None:
            text += f', at "{self.filename}", line {self.lineno}, in {self.function}'
            line = linecache.getline(self.filename, self.lineno or 0).strip()
            text += f": {line}" if line else ""
        return text


@dataclass(frozen=True)
class Deadlock:
    """Tasks that cannot go on.

    Attributes:
        grade: ``"definite"``: nothing can wake any task of the loop. ``"probable"``: another thread could, but all wait
            for threads, and for two seconds none has moved. ``"circle"``: these tasks wait for each other, whatever
            the others do.
        tasks: The tasks: all of the loop, or those of the circle in their order.
        could_wake: What could wake the loop, in words, if it is probable.
    """

    grade: str
    tasks: tuple[StuckTask, ...]
    could_wake: tuple[str, ...] = ()

    def __str__(self) -> str:
        count = len(self.tasks)
        if self.grade == "circle":
            head = "a task waits for itself" if count == 1 else f"{count} tasks wait for each other"
        else:
            head = "the only task is asleep" if count == 1 else f"all {count} tasks are asleep"
            if self.could_wake:
                head += ", and can only be woken by " + ", ".join(self.could_wake)
            else:
                head += ", and nothing can wake them" if count > 1 else ", and nothing can wake it"
        lines = [f"deadlock ({self.grade}): {head}"]
        lines += [f"  {task}" for task in self.tasks[:_SHOWN_MAX]]
        if count > _SHOWN_MAX:
            lines.append(f"  and {count - _SHOWN_MAX} more")
        return "\n".join(lines)


class DeadlockError(RuntimeError):
    """All tasks of a loop are asleep and nothing can wake them; its ``deadlock`` is the :class:`Deadlock`."""

    def __init__(self, deadlock: Deadlock) -> None:
        super().__init__(str(deadlock))
        self.deadlock = deadlock


class DeadlockWatch(LoopWatch):
    """Looks for deadlocks of one loop.

    Args:
        loop: The loop.
        action: What a definite deadlock does: ``"report"`` to the logger ``ourio``, or ``"raise"``. ``None`` reports a
            definite one, and looks for nothing else: it needs no thread.
        on_deadlock: Called with each :class:`Deadlock` that is reported.
        logs: Whether the logger is told too.
    """

    def __init__(
        self,
        loop: EventLoop,
        action: OnDeadlock | None,
        on_deadlock: Callable[[Deadlock], object] | None = None,
        *,
        logs: bool = True,
    ) -> None:
        super().__init__(loop)
        self._action = action
        #: Called with each deadlock that is reported.
        self.listeners: tuple[Callable[[Deadlock], object], ...] = () if on_deadlock is None else (on_deadlock,)
        self._logs = logs
        # The turn, and the tasks, of what was told last: a signal that nobody handles wakes the loop, and changes
        # nothing.
        self._told_at: int | None = None
        self._told_tasks: frozenset[int] = frozenset()
        # A definite deadlock that the watch's thread has found, for the loop's to raise.
        self._verdict: Deadlock | None = None
        # Seen at the last look, and told.
        self._circles: set[frozenset[int]] = set()
        self._told_circles: set[frozenset[int]] = set()

    def start(self) -> None:
        """Begin to look."""
        loop = self._loop()
        if loop is None or self._action == "ignore":
            return
        loop._before_endless_sleep = self.look
        looks = self._action is not None or bool(self.listeners)
        self._begin(loop, self._look_again if looks else None, "ourio-deadlock")

    def stop(self) -> None:
        """Look no more."""
        loop = self._loop()
        if loop is not None:
            loop._before_endless_sleep = None
        super().stop()

    def look(self) -> None:
        """Called by the loop, in its thread, before it sleeps without an end.

        Raises:
            DeadlockError: There is a definite deadlock, and it is to be raised.
        """
        loop = self._loop()
        verdict, self._verdict = self._verdict, None
        # What another thread sends is seen by the last question, as a thread that is gone has sent it before. One of a
        # pool may have a job in its hands where nobody sees it: then the watch's thread looks again, after a while.
        if loop is None or (verdict is None and _has_others()) or could_wake() or not loop._is_out_of_work():
            return
        pending = asyncio.all_tasks(loop)
        stuck = frozenset(map(id, pending))
        if not pending or (stuck == self._told_tasks and self._action != "raise"):
            return
        deadlock = Deadlock("definite", _stuck(pending))
        self._told_at, self._told_tasks = loop._beat(), stuck
        if self._action != "raise":
            self._tell(deadlock)
            return
        self._call(deadlock)
        raise DeadlockError(deadlock)

    def _look_again(self) -> None:
        """The thread: what is only probable, and circles."""
        pause, beat = _QUIET, None
        places: dict[int, _Place] = {}
        while not self._wait(pause):
            loop = self._loop()
            if loop is None or loop.is_closed():
                return
            before, beat = beat, loop._beat()
            earlier, places = places, _places()
            began = time.monotonic()
            with contextlib.suppress(RuntimeError):
                # Tasks came and went while they were counted: the next look will tell.
                is_still = beat == before and _are_still(earlier, places)
                if loop._sleeps_without_end() and is_still and beat != self._told_at:
                    self._look_at_sleeper(loop, beat, places)
                else:
                    self._look_for_circles(loop)
            pause = max(_QUIET, (time.monotonic() - began) / _SHARE)
            del loop

    def _look_at_sleeper(self, loop: EventLoop, beat: int, places: dict[int, "_Place"]) -> None:
        pending = asyncio.all_tasks(loop)
        stuck = frozenset(map(id, pending))
        wakers = could_wake(loop)
        if not pending or stuck == self._told_tasks:
            return
        if wakers and ({waits.wait_of(task).kind for task in pending} - _INNER or self._may_hear(loop, places)):
            return
        deadlock = Deadlock("probable" if wakers else "definite", _stuck(pending), tuple(wakers))
        # The kernel was asked meanwhile, which lets other threads go on: one may have sent its news and be gone.
        if loop._beat() != beat or not loop._sleeps_without_end():
            return
        if not wakers and self._action == "raise":
            self._verdict = deadlock
            loop._write_to_self()  # type: ignore[attr-defined]
            return
        self._told_at, self._told_tasks = beat, stuck
        self._tell(deadlock)

    def _may_hear(self, loop: EventLoop, places: dict[int, "_Place"]) -> bool:
        """Whether the outside may wake the loop, or another thread has got on since the last look."""
        if _hears_from_outside(loop):
            return True
        # A thread whose call has just returned waits for the interpreter's lock, which this one holds, and seems to
        # wait for another thread. It is let go on, and asked again.
        return self._wait(_QUIET / 10) or not _are_still(places, _places()) or _hears_from_outside(loop)

    def _look_for_circles(self, loop: EventLoop) -> None:
        seen = set()
        for circle in waits.cycles(asyncio.all_tasks(loop)):
            members = frozenset(id(task) for task, _ in circle)
            seen.add(members)
            if members in self._circles and members not in self._told_circles:
                # The same at two looks: it was no moment of a release.
                self._told_circles.add(members)
                self._tell(Deadlock("circle", tuple(_described(task, wait) for task, wait in circle)))
        self._circles = seen
        self._told_circles &= seen

    def _tell(self, deadlock: Deadlock) -> None:
        if self._logs:
            _logger.error("%s", deadlock, extra={"deadlock": deadlock})
        self._call(deadlock)

    def _call(self, deadlock: Deadlock) -> None:
        for listener in self.listeners:
            try:
                listener(deadlock)
            except Exception:
                _logger.exception("the callback of a deadlock watch has failed")


def _has_others() -> bool:
    """Whether there are threads of Python's but the calling one and ours."""
    me = threading.current_thread()
    return any(thread is not me and not thread.name.startswith(_OURS) for thread in threading.enumerate())


# Where a thread is: its frame, the instruction there, and the seconds that it has had a processor.
_Place = tuple[int, int, float]


def _places() -> dict[int, _Place]:
    """Where each other thread of the program is: one that gets on may still come to wake the loop."""
    numbers = {thread.ident: thread.native_id for thread in threading.enumerate() if not thread.name.startswith(_OURS)}
    ours = {thread.ident for thread in threading.enumerate() if thread.name.startswith(_OURS)}
    return {
        thread: (id(frame), frame.f_lasti, _processor_time(numbers.get(thread)))
        for thread, frame in sys._current_frames().items()
        if thread not in ours
    }


def _are_still(earlier: dict[int, _Place], places: dict[int, _Place]) -> bool:
    """Whether no thread has got on, and none has come."""
    return all(_is_still(earlier.get(one), now) for one, now in places.items())


def _is_still(before: _Place | None, now: _Place) -> bool:
    # Who is asked while it runs is always found where it lets go of the interpreter's lock.
    return before is not None and before[:2] == now[:2] and now[2] - before[2] < _USED


def _processor_time(thread: int | None) -> float:
    state = _ourio._state_of(thread) if thread else None
    return (state[1] if state else None) or 0.0


def could_wake(loop: EventLoop | None = None) -> list[str]:
    """What could wake a loop that watches nothing: other threads, and handlers of signals, in words.

    Args:
        loop: The loop; the calling thread's own if ``None``.
    """
    me = threading.get_ident() if loop is None else loop._thread_id
    frames = sys._current_frames()
    found = []
    known: set[int | None] = {threading.get_native_id()}
    for thread in threading.enumerate():
        known.add(thread.native_id)
        if thread.ident == me or thread.name.startswith(_OURS) or _is_idle(thread, frames.get(thread.ident or 0)):
            continue
        found.append(f"thread {thread.name!r}")
    found += [f"a thread that is not Python's ({name})" for name in _foreign_threads(known)]
    found += [
        f"signal {number.name if isinstance(number, signal.Signals) else number}" for number in _handled_signals()
    ]
    return found


def _hears_from_outside(loop: EventLoop) -> bool:
    """Whether the outside may wake a loop that watches nothing: by a signal that the loop handles, or through a thread
    that runs, sleeps for a time, or waits in the kernel for something else than another thread."""
    if loop._signal_handlers:  # type: ignore[attr-defined]
        return True
    # Loops in other threads that nothing wakes either.
    asleep = {other._thread_id for other in list(open_loops) if other._sleeps_without_end()}
    inside = {
        thread.native_id for thread in threading.enumerate() if thread.ident in asleep or thread.name.startswith(_OURS)
    }
    inside.add(threading.get_native_id())
    return any(not name.startswith(_OURS) and _waits_outside(number) for number, name in _threads_beside(inside))


def _waits_outside(thread: int) -> bool:
    """Whether a thread runs, begins or ends, or is in a system call that is no wait for another thread."""
    state = _ourio._state_of(thread)
    if state is None:
        return False
    activity, _, _, call, _, is_lock = state
    return activity != "S" or (call is not None and not is_lock)


def _handled_signals() -> list[int]:
    """The signals for which the program has a handler. Ctrl-C ends a program, and does not make it go on."""
    return [
        number
        for number in sorted(signal.valid_signals())
        if number != signal.SIGINT and callable(signal.getsignal(number))
    ]


def _is_idle(thread: threading.Thread, frame: Any) -> bool:
    """Whether a thread is a pool's, and waits for its next job; or has just taken one, which it shows nobody yet."""
    jobs = pool._threads_queues.get(thread)
    return jobs is not None and jobs.empty() and frame is not None and frame.f_code is pool._worker.__code__


def _foreign_threads(known: set[int | None]) -> list[str]:
    return [name for _, name in _threads_beside(known) if not name.startswith(_OURS)]


def _threads_beside(known: set[int | None]) -> list[tuple[int, str]]:
    """The other threads of this process: their numbers, and their names as the kernel knows them."""
    try:
        numbers = [int(number) for number in os.listdir("/proc/self/task")]
    except OSError:
        return [(0, "unknown")]
    found = []
    for number in numbers:
        if number in known:
            continue
        # It may have ended.
        with contextlib.suppress(OSError), open(f"/proc/self/task/{number}/comm") as file:
            found.append((number, file.read().strip()))
    return found


def _stuck(pending: set["asyncio.Task[Any]"]) -> tuple[StuckTask, ...]:
    held = waits.owners(pending)
    ordered = sorted(pending, key=lambda task: task.get_name())
    return tuple(_described(task, waits.wait_of(task, held)) for task in ordered)


def _described(task: "asyncio.Task[Any]", wait: waits.Wait) -> StuckTask:
    names = tuple(other.get_name() for other in wait.tasks)
    place = waits.place(task)
    # A single task is named by the words already.
    told = StuckTask(task.get_name(), wait.text, wait.kind, names if wait.kind != "task" else (), wait.is_held)
    if place is None:
        return told
    return replace(told, filename=place.filename, lineno=place.lineno, function=place.function)
