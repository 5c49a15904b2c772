"""What observes a new loop: as its arguments, the environment's variables and the command ask for."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ourio._insight.deadlock import CHOICES, OnDeadlock
from ourio._insight.deadlock.detector import DeadlockDetector
from ourio._insight.recorder import FlightRecorder
from ourio._insight.stalls import Watchdog
from ourio._loop import EventLoop

# Whether a loop is shown, and where its tasks are made too.
_MonitorChoice = bool | Literal["tasks"]

#: Called with every loop that is made, while somebody observes the whole program.
attach: Callable[[EventLoop], object] | None = None
#: Where what each loop does is written to, if that was asked for; of the second one with a number, and so on.
trace: Path | None = None
_traces = itertools.count()


def observe(
    loop: EventLoop,
    watchdog: bool | float | None,
    on_deadlock: OnDeadlock | None,
    monitor: _MonitorChoice | None,
) -> EventLoop:
    """Have a loop observed as is asked for, which closing it ends. It is closed if that fails.

    Args:
        loop: The loop.
        watchdog: Seconds that a turn may take; ``True`` is 0.1, and ``None`` asks the environment.
        on_deadlock: What becomes of a deadlock; ``None`` asks the environment.
        monitor: Whether the loop is shown; ``None`` asks the environment.

    Raises:
        ValueError: Something was asked for that there is not.
        OSError: There is no room for the monitor.
    """
    try:
        if attach is not None:
            attach(loop)
            return loop
        DeadlockDetector(loop, _action(on_deadlock)).start()
        threshold = _threshold(watchdog)
        if threshold is not None:
            Watchdog(loop, threshold).start()
        if trace is not None:
            number = next(_traces)
            file = trace if number == 0 else trace.with_stem(f"{trace.stem}-{number + 1}")
            FlightRecorder(loop, on_close=file).start()
        shown = _shown(monitor)
        if shown:
            from ourio._insight.monitor import Monitor

            Monitor.show(loop, http=os.environ.get("OURIO_MONITOR_HTTP") or None, tasks=shown == "tasks")
    except BaseException:
        loop.close()
        raise
    return loop


def _action(on_deadlock: OnDeadlock | None) -> OnDeadlock | None:
    asked = on_deadlock or os.environ.get("OURIO_DEADLOCK") or None
    if asked is not None and asked not in CHOICES:
        name = "on_deadlock" if on_deadlock else "OURIO_DEADLOCK"
        raise ValueError(f"{name} must be 'report', 'raise' or 'ignore', not {asked!r}")
    return asked  # type: ignore[return-value]


def _threshold(watchdog: bool | float | None) -> float | None:
    if watchdog is None:
        text = os.environ.get("OURIO_WATCHDOG", "")
        try:
            return float(text) if text else None
        except ValueError:
            raise ValueError(f"OURIO_WATCHDOG must be a positive number of seconds, not {text!r}") from None
    if isinstance(watchdog, bool):
        return 0.1 if watchdog else None
    return watchdog


def _shown(monitor: _MonitorChoice | None) -> _MonitorChoice:
    if monitor is None:
        choices: dict[str, _MonitorChoice] = {"": False, "0": False, "1": True, "tasks": "tasks"}
        text = os.environ.get("OURIO_MONITOR", "")
        if text not in choices:
            raise ValueError(f"OURIO_MONITOR must be 0, 1 or tasks, not {text!r}")
        return choices[text]
    if monitor not in (True, False, "tasks"):
        raise ValueError(f"monitor must be True, False or 'tasks', not {monitor!r}")
    return monitor
