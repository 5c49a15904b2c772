"""Starting programs: ``run`` and ``new_event_loop``."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from ourio._loop import EventLoop
from ourio._watchdog import Watchdog

_T = TypeVar("_T")


def new_event_loop() -> EventLoop:
    """Return a new event loop.

    Give it to ``asyncio.Runner(loop_factory=ourio.new_event_loop)``, or run it by hand and close it.

    If the variable ``OURIO_WATCHDOG`` is a number of seconds, a :class:`ourio.Watchdog` watches the loop until it is
    closed: so also with ``python -m ourio``, ``ourio.install`` and every other way to have an Ourio loop.

    Returns:
        A loop that is not running. It may be made in one thread and run in another.

    Raises:
        OSError: The process or the system is out of descriptors or memory.
        ValueError: ``OURIO_WATCHDOG`` is set, and is not a positive number.
    """
    return _watched(EventLoop(), None)


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None, watchdog: bool | float | None = None) -> _T:
    """Run a coroutine to its end on a new Ourio loop, as ``asyncio.run`` does on asyncio's.

    What is left of the program is cancelled, asynchronous generators and the default executor are shut down,
    and the loop is closed. Ctrl-C cancels the main task.

    Args:
        main: The coroutine to run.
        debug: Whether to run in debug mode; ``None`` asks the environment, as asyncio does.
        watchdog: Seconds after which a blocked loop is reported, as :class:`ourio.Watchdog` does; ``True`` is 0.1,
            ``None`` asks the variable ``OURIO_WATCHDOG`` (seconds), and is off without it.

    Returns:
        What the coroutine returned.

    Raises:
        RuntimeError: A loop is running in this thread already.
        ValueError: ``main`` is not a coroutine (3.14 and newer: ``TypeError``), or the watchdog's time is not a
            positive number.
        BaseException: Whatever the coroutine raised.
    """
    if asyncio._get_running_loop() is not None:
        # asyncio: said before the coroutine is looked at, so that it is reported as never awaited.
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with asyncio.Runner(debug=debug, loop_factory=lambda: _watched(EventLoop(), watchdog)) as runner:
        return runner.run(main)


def _watched(loop: EventLoop, watchdog: bool | float | None) -> EventLoop:
    """Have a loop watched as is asked for, which closing it ends."""
    try:
        threshold = _threshold(watchdog)
        if threshold is not None:
            Watchdog(loop, threshold).start()
    except BaseException:
        loop.close()
        raise
    return loop


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
