"""Starting programs: ``run`` and ``new_event_loop``."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

from ourio._insight import settings
from ourio._insight.deadlock import OnDeadlock
from ourio._loop import EventLoop

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
        ValueError: ``OURIO_WATCHDOG`` is set, and is not a positive number; or ``OURIO_DEADLOCK`` is none of
            ``report``, ``raise`` and ``ignore``; or ``OURIO_MONITOR`` none of ``0``, ``1`` and ``tasks``.
    """
    return settings.observe(EventLoop(), None, None, None)


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
        debug=debug, loop_factory=lambda: settings.observe(EventLoop(), watchdog, on_deadlock, monitor)
    ) as runner:
        return runner.run(main)
