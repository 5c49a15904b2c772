"""``DeadlockDetector``: looks for deadlocks of one loop.

The loop asks before it would sleep without an end: nothing is ready, no timer runs, no descriptor is watched. That is
rare, so asking costs nothing that can be measured. What is left that could wake it is looked for: other threads, of
Python or not, and handlers of signals. If there is nothing, the deadlock is *definite*. If there is, and for two
seconds neither the loop nor any other thread has moved, it is *probable*, and what could still wake it is named.

Tasks that wait for each other in a circle are stuck even while others run. That takes a look at all tasks, so it is
done every few seconds, from a thread, and only for who has asked for deadlocks explicitly.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ourio._insight import waits
from ourio._insight.deadlock import Deadlock, DeadlockError, OnDeadlock, StuckTask, threads, wakers
from ourio._insight.observer import Observer
from ourio._loop import EventLoop

_logger = logging.getLogger("ourio")

# What could wake the loop has had its time after this.
_QUIET = 2.0
# A look for circles takes at most this share of the time.
_SHARE = 0.01
# What a task may wait for without anything of the system taking part.
_INNER = {"task", "tasks", "lock", "event", "condition", "semaphore", "barrier", "queue", "future"}


class DeadlockDetector(Observer):
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
        # A definite deadlock that the detector's thread has found, for the loop's to raise.
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
        # pool may have a job in its hands where nobody sees it: then the detector's thread looks again, after a while.
        if (
            loop is None
            or (verdict is None and threads.has_others())
            or wakers.could_wake()
            or not loop._is_out_of_work()
        ):
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
        positions: dict[int, threads.Position] = {}
        while not self._wait(pause):
            loop = self._loop()
            if loop is None or loop.is_closed():
                return
            before, beat = beat, loop._beat()
            earlier, positions = positions, threads.positions()
            began = time.monotonic()
            with contextlib.suppress(RuntimeError):
                # Tasks came and went while they were counted: the next look will tell.
                is_still = beat == before and threads.are_still(earlier, positions)
                if loop._sleeps_without_end() and is_still and beat != self._told_at:
                    self._look_at_sleeper(loop, beat, positions)
                else:
                    self._look_for_circles(loop)
            pause = max(_QUIET, (time.monotonic() - began) / _SHARE)
            del loop

    def _look_at_sleeper(self, loop: EventLoop, beat: int, positions: dict[int, threads.Position]) -> None:
        pending = asyncio.all_tasks(loop)
        stuck = frozenset(map(id, pending))
        found = wakers.could_wake(loop)
        if not pending or stuck == self._told_tasks:
            return
        if found and ({waits.wait_of(task).kind for task in pending} - _INNER or self._may_hear(loop, positions)):
            return
        deadlock = Deadlock("probable" if found else "definite", _stuck(pending), tuple(found))
        # The kernel was asked meanwhile, which lets other threads go on: one may have sent its news and be gone.
        if loop._beat() != beat or not loop._sleeps_without_end():
            return
        if not found and self._action == "raise":
            self._verdict = deadlock
            loop._write_to_self()  # type: ignore[attr-defined]
            return
        self._told_at, self._told_tasks = beat, stuck
        self._tell(deadlock)

    def _may_hear(self, loop: EventLoop, positions: dict[int, threads.Position]) -> bool:
        """Whether the outside may wake the loop, or another thread has got on since the last look."""
        if wakers.hears_from_outside(loop):
            return True
        # A thread whose call has just returned waits for the interpreter's lock, which this one holds, and seems to
        # wait for another thread. It is let go on, and asked again.
        return (
            self._wait(_QUIET / 10)
            or not threads.are_still(positions, threads.positions())
            or wakers.hears_from_outside(loop)
        )

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
