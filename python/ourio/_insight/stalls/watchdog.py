"""``Watchdog``: says that a loop is blocked while it is, by what, and where.

A native thread (``StallWatch``) sees that a turn of the loop does not end, and asks the kernel what the loop's thread
does; it never needs the interpreter's lock (the GIL). The stack is read by a Python thread, which needs it. Whether,
and how soon, it gets the lock tells who had it: code that lets go of it (``time.sleep``, a socket) is seen while it
blocks; native code that keeps it is seen at the very line that called it, in the moment in which it is done.
"""

import contextlib
import gc
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from ourio._insight.observer import PromptObserver
from ourio._insight.stalls.look import News, is_of_ours, look_at
from ourio._insight.stalls.stall import Stall
from ourio._loop import EventLoop, open_loops
from ourio._ourio import StallWatch, _own_delay, _set_pending_call

_logger = logging.getLogger("ourio")

# The same place is reported once per second, so that a log is not flooded by what it reports.
_REPEAT = 1.0
# So many turns are remembered of which the watchdog has not been told yet: no more than it is told of.
_SIGHTINGS_MAX = 256
# So many places are remembered for that.
_PLACES_MAX = 1000


class Watchdog(PromptObserver):
    """Reports turns of a loop that take too long.

    Each stall is reported when it has taken the threshold and again when it is over, to the logger ``ourio`` as a
    warning, and to the callback. Reports of one place come at most once per second. Callbacks run in the watchdog's
    thread; what they raise is logged.

    It may be started and stopped at any time and from any thread; closing the loop stops it. Stopping waits for a
    callback that is being run. It costs the process two threads, of which one wakes a few times per threshold. A forked
    process has none.

    Args:
        loop: The loop.
        threshold: Seconds that a turn may take.
        on_stall: Called with each :class:`Stall` that is reported.
        logs: Whether the logger is told too.

    Raises:
        ValueError: The threshold is not a positive number.
        TypeError: The loop is not Ourio's.
    """

    def __init__(
        self,
        loop: EventLoop,
        threshold: float = 0.1,
        on_stall: Callable[[Stall], object] | None = None,
        *,
        logs: bool = True,
    ) -> None:
        if not isinstance(loop, EventLoop):
            raise TypeError(f"an ourio.EventLoop was expected, got {type(loop).__name__}")
        if not threshold > 0:
            raise ValueError("threshold must be a positive number of seconds")
        self._loop = weakref.ref(loop)
        self._threshold = threshold
        #: Called with each stall that is reported.
        self.listeners: tuple[Callable[[Stall], object], ...] = () if on_stall is None else (on_stall,)
        self._logs = logs
        self._watch: StallWatch | None = None
        self._thread: threading.Thread | None = None
        self._changing = threading.Lock()
        # By turn: what is over may be asked for only several turns later.
        self._sightings: dict[int, _Sighting] = {}
        # The turns whose stalls have been told, and are not known to be over.
        self._told: set[int] = set()
        self._last: dict[tuple[str | None, int | None, str], float] = {}
        self._suppressed: dict[tuple[str | None, int | None, str], int] = {}

    def start(self) -> None:
        """Begin to watch. Does nothing if it watches already.

        Raises:
            RuntimeError: The loop is closed or gone, or no thread can be started.
        """
        loop = self._loop()
        if loop is None or loop.is_closed():
            raise RuntimeError("Event loop is closed")
        with self._changing:
            if self._watch is not None:
                return
            watch = StallWatch(loop, self._threshold)
            # A daemon: a program ends whether or not its loop was closed.
            thread = threading.Thread(
                target=self._report_all, args=(watch,), name="ourio-watchdog-reports", daemon=True
            )
            thread.start()
            self._watch, self._thread = watch, thread
            gc.callbacks.append(watch.collecting)
            loop._observers = (*loop._observers, self)

    def stop(self) -> None:
        """Watch no more. What has been seen is still reported."""
        with self._changing:
            watch, thread = self._watch, self._thread
            self._watch = self._thread = None
            if watch is None or thread is None:
                return
            with contextlib.suppress(ValueError):
                # Somebody may have emptied the list.
                gc.callbacks.remove(watch.collecting)
            loop = self._loop()
            if loop is not None:
                loop._observers = tuple(other for other in loop._observers if other is not self)
            watch.stop()
        if thread is not threading.current_thread() and not sys.is_finalizing():
            thread.join()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _report_all(self, watch: StallWatch) -> None:
        wakeup = watch.fileno()
        delayed = _own_delay()
        while os.read(wakeup, 1):
            # How long after it was seen we have the interpreter's lock is part of the news, but for the time for which
            # we had no processor. From here on to the stack nothing may let go of the lock.
            delayed, before = _own_delay(), delayed
            looks = self._look_at_all(watch, delayed - before)
            for turn, duration, over, age, states in watch.news():
                try:
                    news = (turn, duration, over, max(0.0, age - (delayed - before)), states)
                    look = None if over else looks.get(turn)
                    self._judge(turn, look or self._look_and_remember(watch, news))
                except Exception:
                    _logger.exception("the watchdog could not report a stall")

    def _look_at_all(self, watch: StallWatch, delayed: float) -> dict[int, Stall]:
        """Look at what goes on, before it is taken from the native half and before anything is told.

        Telling lets go of the lock, and the loop goes on to something else. If this thread loses the lock before it has
        looked, the main thread still finds here what it is to look at.
        """
        looks = {}
        for turn, duration, over, age, states in watch.peek():
            if over:
                continue
            try:
                news = (turn, duration, over, max(0.0, age - delayed), states)
                looks[turn] = self._look_and_remember(watch, news)
            except Exception:
                _logger.exception("the watchdog could not look at a stall")
        return looks

    def _look_and_remember(self, watch: StallWatch, news: News) -> Stall:
        """What blocks, or has blocked, the loop: what was seen for the longest time, here or by another thread.

        What the loop's thread does at this moment may be something else, which has only begun: the main thread, asked
        to look as the call ended, has seen what it was.
        """
        look, turn = look_at(watch, self._loop(), news), news[0]
        longest = self._remember(turn, look)
        if look.over:
            self._sightings.pop(turn, None)
        return replace(longest, duration=look.duration, over=look.over)

    def catch_up(self, delayed: float) -> None:
        """Look, from another thread of ours, at what the watchdog's own has not asked for yet: it may come too late."""
        watch, loop = self._watch, self._loop()
        if watch is None or loop is None:
            return
        try:
            for turn, duration, over, age, states in watch.peek():
                if over:
                    continue
                if loop._thread_id == threading.get_ident() and states and states[-1][2] is not None:
                    # It is the loop's own thread that looks: what it had no processor for since it was seen.
                    delayed = max(0.0, _own_delay() - states[-1][2])
                look = look_at(watch, loop, (turn, duration, over, max(0.0, age - delayed), states))
                self._remember(turn, look)
        except Exception as error:
            if threading.current_thread() is threading.main_thread() and not is_of_ours(error):
                # A handler of a signal ran meanwhile, and raised: in the program, as anywhere.
                raise
            _logger.exception("the watchdog could not look at a stall")

    def _remember(self, turn: int, look: Stall) -> Stall:
        """Keep, and return, the look at what went on for the longest time."""
        before = self._sightings.get(turn)
        span = look.duration - (before.until if before else 0.0)
        # A look that came too late for a stack says less than any with one.
        if before is None or (bool(look.stack), span) > (bool(before.look.stack), before.span):
            if before is None and len(self._sightings) >= _SIGHTINGS_MAX:
                self._sightings.clear()
            self._sightings[turn] = _Sighting(look, span, look.duration)
            return look
        self._sightings[turn] = replace(before, until=look.duration)
        return before.look

    def _judge(self, turn: int, look: Stall) -> None:
        was_told = turn in self._told
        if look.over:
            self._told.discard(turn)
            self._count(look.cause)
        else:
            self._told.add(turn)
        if look.over or not was_told:
            self._tell(look, ending=was_told)

    def _count(self, cause: str) -> None:
        loop = self._loop()
        if loop is not None:
            stalls = loop._stalls = loop._stalls or {}
            stalls[cause] = stalls.get(cause, 0) + 1

    def _tell(self, stall: Stall, ending: bool = False) -> None:
        """Report a stall, unless its place was reported a moment ago; its end, if its beginning was."""
        place = (stall.filename, stall.lineno, stall.cause)
        now = time.monotonic()
        if not ending:
            if now - self._last.get(place, -_REPEAT) < _REPEAT:
                self._suppressed[place] = self._suppressed.get(place, 0) + 1
                return
            if len(self._last) >= _PLACES_MAX:
                self._last.clear()
                self._suppressed.clear()
            self._last[place] = now
            stall = replace(stall, repeated=self._suppressed.pop(place, 0))
        elif self._suppressed.get(place):
            return
        if self._logs:
            _logger.warning("%s", stall, extra={"stall": stall})
        for listener in self.listeners:
            try:
                listener(stall)
            except Exception:
                _logger.exception("the callback of a watchdog has failed")


@dataclass(frozen=True)
class _Sighting:
    """What any of our threads has seen of a stall: of all looks, that at what went on for the longest time."""

    look: Stall
    #: For how long that had gone on, since the look before.
    span: float
    #: Until when it has been looked at, in seconds of the stall.
    until: float


def _catch_up() -> None:
    """Look in the main thread, between two instructions, when a stall was seen: the stack is still its own."""
    for loop in list(open_loops):
        for observer in loop._observers:
            if isinstance(observer, PromptObserver):
                observer.catch_up(0.0)


_set_pending_call(_catch_up)
