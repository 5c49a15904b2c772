"""``TaskRegistry``: where tasks come from, which of them have failed unseen, and which sites make more than end.

Every task that a loop's ``create_task`` makes is noted with the line that made it, and looked at once a second, from a
thread. Nothing is added to the task itself, and its end costs nothing.
"""

import asyncio
import collections
import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from ourio._insight import places
from ourio._insight.observer import Observer
from ourio._insight.places import Place
from ourio._insight.tasks.reports import Flood, LostException
from ourio._loop import EventLoop

_logger = logging.getLogger("ourio")

# A failed task that nobody has asked for so long is reported.
GRACE = 5.0
# So many live tasks of one site are a flood.
FLOOD = 10_000
# A site that has grown at so many looks in a row, and to so many live tasks, grows for ever.
_GROWTH_LOOKS = 10
_GROWTH_MIN = 500
_LOOK = 1.0
# A look takes at most this share of the time.
_SHARE = 0.01
# Sites beyond so many share one.
_SITES_MAX = 10_000
_ELSEWHERE = Place("elsewhere", 0, "?")


@dataclass
class Site:
    """What is known of the tasks of one line."""

    place: Place
    created: int = 0
    live: int = 0
    oldest: float = 0.0
    rate: float = 0.0
    # At the last look.
    created_before: int = 0
    growth: list[int] = field(default_factory=list)
    is_told: bool = False


@dataclass
class _Note:
    task: "weakref.ref[asyncio.Task[Any]]"
    # Of a task that is being destroyed, which has no weak references any more.
    identity: int
    site: Site
    created: float
    failed: float | None = None
    is_told: bool = False


class TaskRegistry(Observer):
    """Notes the tasks of a loop.

    Args:
        loop: The loop.
        on_lost: Called with each :class:`LostException`, in the registry's thread.
        on_flood: Called with each :class:`Flood`, in the registry's thread.
        grace: Seconds after which a failure that nobody asked for is lost.
    """

    def __init__(
        self,
        loop: EventLoop,
        on_lost: Callable[[LostException], object] | None = None,
        on_flood: Callable[[Flood], object] | None = None,
        grace: float = GRACE,
    ) -> None:
        super().__init__(loop)
        self._on_lost, self._on_flood = on_lost, on_flood
        self._grace = grace
        self._sites: dict[tuple[CodeType, int], Site] = {}
        self._own: dict[CodeType, bool] = {}
        # Noted since the last look: appending and popping are atomic.
        self._new: collections.deque[_Note] = collections.deque()
        self._notes: list[_Note] = []
        self._looking = threading.Lock()
        self._looked_at = time.monotonic()

    def start(self) -> None:
        """Begin to note tasks."""
        loop = self._loop()
        if loop is None:
            return
        loop._task_registry = self
        loop._tracks_tasks = True
        self._begin(loop, self._look_again, "ourio-tasks")

    def stop(self) -> None:
        """Note no more tasks; what is known stays."""
        loop = self._loop()
        if loop is not None:
            loop._tracks_tasks = False
        super().stop()

    def note(self, task: "asyncio.Task[Any]", depth: int = 3) -> None:
        """Note a task, which the line of so many frames above has made."""
        try:
            code, line = self._line(depth)
            reference = weakref.ref(task)
        except (ValueError, TypeError):
            # No Python code has called, or a task factory has made something that is no task.
            return
        site = self._sites.get((code, line))
        if site is None:
            if len(self._sites) < _SITES_MAX:
                site = Site(Place(code.co_filename, line, code.co_qualname))
                self._sites[code, line] = site
            else:
                site = self._sites.setdefault((_elsewhere.__code__, 0), Site(_ELSEWHERE))
        site.created += 1
        self._new.append(_Note(reference, id(task), site, time.monotonic()))

    def _line(self, depth: int) -> tuple[CodeType, int]:
        """The innermost line of the program's own code that runs; of any code if there is none."""
        frame = sys._getframe(depth)
        first = (frame.f_code, frame.f_lineno or 0)
        following: Any = frame
        while following is not None:
            code = following.f_code
            own = self._own.get(code)
            if own is None:
                own = self._own[code] = places.is_own(code.co_filename)
            if own:
                return code, following.f_lineno or 0
            following = following.f_back
        return first

    def look(self, at_end: bool = False) -> None:
        """Look at all tasks now.

        Args:
            at_end: Whether the program is over, so that no failure will be asked for any more.
        """
        with self._looking:
            now = time.monotonic()
            while self._new:
                self._notes.append(self._new.popleft())
            for site in self._sites.values():
                site.live, site.oldest = 0, 0.0
            self._notes = [note for note in self._notes if self._is_alive(note, now, at_end)]
            passed, self._looked_at = now - self._looked_at, now
            for site in list(self._sites.values()):
                self._look_at_site(site, passed)

    def sites(self) -> list[Site]:
        """What is known of each line, as of the last look, the one with the most live tasks first."""
        return sorted(self._sites.values(), key=lambda site: (-site.live, -site.created))

    def notes(self) -> dict[int, tuple[Place, float]]:
        """The line and the age of each task that is alive, by the task's ``id``."""
        now = time.monotonic()
        known = {}
        for note in (*self._notes, *tuple(self._new)):
            task = note.task()
            if task is not None:
                known[id(task)] = (note.site.place, now - note.created)
        return known

    def created_at(self, task: Any) -> Place | None:
        """The line that made a task, if it was noted and is known still; also while it is being destroyed."""
        for note in reversed((*self._notes, *tuple(self._new))):
            if note.identity == id(task) and note.task() in (task, None):
                return note.site.place
        return None

    def _look_again(self) -> None:
        pause = _LOOK
        while not self._wait(pause):
            loop = self._loop()
            if loop is None or loop.is_closed():
                return
            del loop
            began = time.monotonic()
            try:
                self.look()
            except Exception:
                _logger.exception("the book of tasks could not look at them")
            pause = max(_LOOK, (time.monotonic() - began) / _SHARE)

    def _is_alive(self, note: _Note, now: float, at_end: bool) -> bool:
        task = note.task()
        if task is None:
            return False
        if not task.done():
            note.site.live += 1
            note.site.oldest = max(note.site.oldest, now - note.created)
            return True
        # asyncio: set until somebody asks for the exception, which the attribute does not count as.
        if not getattr(task, "_log_traceback", False):
            return False
        if note.failed is None:
            note.failed = now
        if not note.is_told and (at_end or now - note.failed >= self._grace):
            note.is_told = True
            self._tell_lost(task, note, now)
        return True

    def _tell_lost(self, task: "asyncio.Task[Any]", note: _Note, now: float) -> None:
        exception = task._exception
        lost = LostException(
            task.get_name(),
            repr(exception),
            places.of_traceback(exception.__traceback__ if exception is not None else None),
            note.site.place,
            now - (note.failed or now),
        )
        if self._on_lost is not None:
            self._on_lost(lost)
        else:
            _logger.error("%s", lost, extra={"lost_exception": lost})

    def _look_at_site(self, site: Site, passed: float) -> None:
        made, site.created_before = site.created - site.created_before, site.created
        site.rate = made / passed if passed > 0 else 0.0
        if site.growth and site.live <= site.growth[-1]:
            site.growth.clear()
            # What has ebbed may be told again.
            site.is_told = site.is_told and site.live >= FLOOD // 2
        site.growth.append(site.live)
        del site.growth[:-_GROWTH_LOOKS]
        is_growth = len(site.growth) == _GROWTH_LOOKS and site.live >= _GROWTH_MIN
        if site.is_told or not (site.live >= FLOOD or is_growth):
            return
        site.is_told = True
        flood = Flood(site.place, site.live, site.created, site.rate, site.oldest, site.live < FLOOD)
        if self._on_flood is not None:
            self._on_flood(flood)
        else:
            _logger.warning("%s", flood, extra={"flood": flood})


def _elsewhere() -> None:
    """Stands for the code of sites beyond the limit."""
