"""What suspended frames have entered: who holds which lock, and whose wait has a deadline.

The ``__aexit__`` that ``async with`` will call lies on the frame's stack, where the garbage collector sees it, and so
can we. So the holder of a lock is known without having watched it being taken. Only of a lock taken by a bare
``acquire()`` there is no trace.
"""

import asyncio
import gc
from asyncio import locks, tasks
from collections.abc import Iterable, Iterator
from types import CoroutineType, FunctionType, MethodType
from typing import Any

from ourio._insight.waits.chain import SUSPENDED, awaited_by, chain, frame_of

_EXITS = ("__aexit__", "__exit__")
_WAITS_WITH_TIMEOUT = {asyncio.wait_for.__code__, tasks._wait.__code__}  # type: ignore[attr-defined]
# What anyio, async-timeout and trio-like libraries call theirs.
_SCOPES = ("CancelScope", "Timeout", "_Timeout")
_OWNED = (locks.Lock, locks.Condition, locks.Semaphore)


def owners(pending: Iterable["asyncio.Task[Any]"]) -> dict[int, list["asyncio.Task[Any]"]]:
    """Who holds which lock, condition or semaphore, by the ``id`` of it.

    A condition's holder holds its lock too.
    """
    held: dict[int, list[asyncio.Task[Any]]] = {}
    for task in pending:
        for link in chain(task.get_coro()):
            for entered in _entered(link):
                if not isinstance(entered, _OWNED):
                    continue
                held.setdefault(id(entered), []).append(task)
                if isinstance(entered, locks.Condition):
                    held.setdefault(id(entered._lock), []).append(task)  # type: ignore[attr-defined]
    return held


def has_deadline(task: "asyncio.Task[Any]") -> bool:
    """Whether a timeout will end a task's wait: ``asyncio.timeout``, ``wait_for``, or a scope of another library."""
    for link in chain(task.get_coro()):
        frame = frame_of(link)
        if frame is not None and frame.f_code in _WAITS_WITH_TIMEOUT and frame.f_locals.get("timeout") is not None:
            return True
        for entered in _entered(link):
            if isinstance(entered, asyncio.Timeout):
                if entered.when() is not None:
                    return True
            elif type(entered).__name__ in _SCOPES:
                return True
    return False


def _entered(link: Any) -> Iterator[Any]:
    """The context managers of ours and of libraries whose ``with`` block a suspended frame is in."""
    if not isinstance(link, SUSPENDED):
        return
    found = []
    exits = False
    for one in gc.get_referents(link):
        if exits:
            # 3.14: the function and the object lie beside each other.
            found.append(one)
        exits = isinstance(one, FunctionType) and one.__name__ in _EXITS
        if isinstance(one, MethodType) and one.__name__ in _EXITS:
            found.append(one.__self__)
    awaited = awaited_by(link)
    if found and isinstance(awaited, CoroutineType) and awaited.cr_code.co_name == "__aenter__":
        # The last one is being entered.
        found.pop()
    yield from found
