"""Puts Ourio's loop wherever CPython's tests make one."""

import asyncio
import asyncio.events
import asyncio.unix_events
import os

import ourio
from ourio._insight.deadlock.detector import DeadlockDetector


class SwappedEventLoop(ourio.EventLoop):
    """Ourio's loop with the constructor of ``asyncio.SelectorEventLoop``.

    The tests hand it a selector of each kind, to run once on each. Ourio has its own, so each of these runs
    is one more run of the same loop.
    """

    def __init__(self, selector=None):
        if selector is not None:
            selector.close()
        super().__init__()
        if "OURIO_DEADLOCK" in os.environ:
            # None of these programs is in a deadlock: a report in a log is a false alarm.
            DeadlockDetector(self, os.environ["OURIO_DEADLOCK"]).start()


def install():
    """Swap the loop classes, and the one that a policy makes."""
    for name in ("SelectorEventLoop", "EventLoop"):
        for module in (asyncio, asyncio.unix_events):
            if hasattr(module, name):
                setattr(module, name, SwappedEventLoop)
    asyncio.unix_events._UnixSelectorEventLoop = SwappedEventLoop
    # 3.16 drops policies.
    policy = getattr(asyncio.unix_events, "_UnixDefaultEventLoopPolicy", None)
    if policy is not None:
        policy._loop_factory = SwappedEventLoop
