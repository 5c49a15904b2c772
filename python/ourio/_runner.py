"""Starting programs: ``run`` and ``new_event_loop``."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from ourio._loop import EventLoop
from ourio._watchdog import Watchdog

_T = TypeVar("_T")


def new_event_loop() -> EventLoop:
    """Return a new event loop.

    Give it to ``asyncio.Runner(loop_factory=ourio.new_event_loop)``, or run it by hand and close it.

    Returns:
        A loop that is not running. It may be made in one thread and run in another.

    Raises:
        OSError: The process or the system is out of descriptors or memory.
    """
    return EventLoop()


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
    with asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner:
        threshold = _threshold(watchdog)
        if threshold is not None:
            # Closing the loop stops it.
            Watchdog(cast("EventLoop", runner.get_loop()), threshold).start()
        return runner.run(main)


def _threshold(watchdog: bool | float | None) -> float | None:
    if watchdog is None:
        text = os.environ.get("OURIO_WATCHDOG", "")
        return float(text) if text else None
    if watchdog is True:
        return 0.1
    return None if watchdog is False else watchdog
