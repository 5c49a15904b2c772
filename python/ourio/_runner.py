"""Starting programs: ``run`` and ``new_event_loop``."""

import asyncio
import itertools
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar

from ourio._insight.deadlock import CHOICES, DeadlockWatch, OnDeadlock
from ourio._insight.stalls.watchdog import Watchdog
from ourio._loop import EventLoop

_T = TypeVar("_T")

#: Called with every loop that is made, while something watches the whole program.
attach: Callable[[EventLoop], object] | None = None
#: Where what each loop does is written to, if that was asked for; of the second one with a number, and so on.
trace: Path | None = None
_traces = itertools.count()


def new_event_loop() -> EventLoop:
    """Return a new event loop.

    Give it to ``asyncio.Runner(loop_factory=ourio.new_event_loop)``, or run it by hand and close it.

    If the variable ``OURIO_WATCHDOG`` is a number of seconds, a :class:`ourio.Watchdog` watches the loop until it is
    closed: so also with ``python -m ourio``, ``ourio.install`` and every other way to have an Ourio loop.

    Returns:
        A loop that is not running. It may be made in one thread and run in another.

    Raises:
        OSError: The process or the system is out of descriptors or memory.
        ValueError: ``OURIO_WATCHDOG`` is set, and is not a positive number; or ``OURIO_DEADLOCK`` is none of
            ``report``, ``raise`` and ``ignore``; or ``OURIO_MONITOR`` none of ``0``, ``1`` and ``tasks``.
    """
    return _watched(EventLoop(), None, None, None)


def run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    watchdog: bool | float | None = None,
    on_deadlock: OnDeadlock | None = None,
    monitor: bool | Literal["tasks"] | None = None,
) -> _T:
    """Run a coroutine to its end on a new Ourio loop, as ``asyncio.run`` does on asyncio's.

    What is left of the program is cancelled, asynchronous generators and the default executor are shut down,
    and the loop is closed. Ctrl-C cancels the main task.

    Args:
        main: The coroutine to run.
        debug: Whether to run in debug mode; ``None`` asks the environment, as asyncio does.
        watchdog: Seconds after which a blocked loop is reported, as :class:`ourio.Watchdog` does; ``True`` is 0.1,
            ``None`` asks the variable ``OURIO_WATCHDOG`` (seconds), and is off without it.
        on_deadlock: What becomes of a program whose tasks all wait for what can never happen. ``"report"`` says so, as
            an error of the logger ``ourio``, once; also if another thread could still wake it and has not for two
            seconds, and if tasks wait for each other in a circle while others run, which takes a thread that looks.
            ``"raise"`` does the same, and raises if nothing at all could wake the loop. ``"ignore"`` waits in silence.
            ``None`` asks the variable ``OURIO_DEADLOCK``; without it, what nothing at all could wake is reported.
        monitor: Whether ``ourio top`` and the other commands may look into the program, over a local socket of this
            user's; a watchdog is on as well. ``"tasks"`` notes where each task is made too, which makes making one a
            few times slower. ``None`` asks the variable ``OURIO_MONITOR`` (``1`` or ``tasks``). With the variable
            ``OURIO_MONITOR_HTTP`` (``127.0.0.1:8080``; port 0 takes a free one) a browser may, too, at an address that
            is printed.

    Returns:
        What the coroutine returned.

    Raises:
        RuntimeError: A loop is running in this thread already.
        ValueError: ``main`` is not a coroutine (3.14 and newer: ``TypeError``), the watchdog's time is not a positive
            number, or ``on_deadlock`` is no choice.
        DeadlockError: All tasks are asleep, nothing can wake them, and that is to be raised.
        BaseException: Whatever the coroutine raised.
    """
    if asyncio._get_running_loop() is not None:
        # asyncio: said before the coroutine is looked at, so that it is reported as never awaited.
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with asyncio.Runner(
        debug=debug, loop_factory=lambda: _watched(EventLoop(), watchdog, on_deadlock, monitor)
    ) as runner:
        return runner.run(main)


def _watched(
    loop: EventLoop,
    watchdog: bool | float | None,
    on_deadlock: OnDeadlock | None,
    monitor: bool | Literal["tasks"] | None,
) -> EventLoop:
    """Have a loop watched as is asked for, which closing it ends."""
    try:
        if attach is not None:
            attach(loop)
            return loop
        DeadlockWatch(loop, _action(on_deadlock)).start()
        threshold = _threshold(watchdog)
        if threshold is not None:
            Watchdog(loop, threshold).start()
        if trace is not None:
            from ourio._insight.recorder import FlightRecorder

            number = next(_traces)
            file = trace if number == 0 else trace.with_stem(f"{trace.stem}-{number + 1}")
            FlightRecorder(loop, on_close=file).start()
        shown = _monitored(monitor)
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


def _monitored(monitor: bool | Literal["tasks"] | None) -> bool | Literal["tasks"]:
    if monitor is None:
        choices: dict[str, bool | Literal["tasks"]] = {"": False, "0": False, "1": True, "tasks": "tasks"}
        text = os.environ.get("OURIO_MONITOR", "")
        if text not in choices:
            raise ValueError(f"OURIO_MONITOR must be 0, 1 or tasks, not {text!r}")
        return choices[text]
    if monitor not in (True, False, "tasks"):
        raise ValueError(f"monitor must be True, False or 'tasks', not {monitor!r}")
    return monitor
