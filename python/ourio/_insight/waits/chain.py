"""A suspended coroutine knows what it awaits: the chain from a task's coroutine to the innermost of them."""

import asyncio
import gc
from collections.abc import Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

from ourio._insight.places import Place, innermost_own

#: What can be suspended.
SUSPENDED = (CoroutineType, GeneratorType, AsyncGeneratorType)
# A chain of awaits that is longer is shown up to here.
_CHAIN_MAX = 500


def stack(task: "asyncio.Task[Any]") -> list[Place]:
    """Where a task is: its coroutine's line, and those of all that it awaits, the innermost last."""
    return [
        Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
        for frame in frames(task.get_coro())
        if frame.f_lineno is not None
    ]


def place(task: "asyncio.Task[Any]") -> Place | None:
    """The innermost line of the program's own code that a task is at; of any code if there is none."""
    return innermost_own(reversed(stack(task)))


def chain(awaitable: Any) -> Iterator[Any]:
    """A coroutine, what it awaits, what that awaits, and so on, the innermost last."""
    seen: set[int] = set()
    while awaitable is not None and id(awaitable) not in seen and len(seen) < _CHAIN_MAX:
        seen.add(id(awaitable))
        yield awaitable
        awaitable = awaited_by(awaitable)


def frames(coroutine: Any) -> Iterator[FrameType]:
    """The frames of a coroutine and of all that it awaits, the innermost last."""
    for link in chain(coroutine):
        frame = frame_of(link)
        if frame is not None:
            yield frame


def frame_of(link: Any) -> FrameType | None:
    """The frame of one in a chain, if it has one."""
    if isinstance(link, CoroutineType):
        return link.cr_frame
    if isinstance(link, GeneratorType):
        return link.gi_frame
    if isinstance(link, AsyncGeneratorType):
        return link.ag_frame
    # Coroutines of compiled modules have frames too.
    frame = getattr(link, "cr_frame", None)
    return frame if isinstance(frame, FrameType) else None


def awaited_by(awaitable: Any) -> Any:
    """What a suspended coroutine, generator, or wrapper of one awaits."""
    if isinstance(awaitable, CoroutineType):
        return awaitable.cr_await
    if isinstance(awaitable, GeneratorType):
        return awaitable.gi_yieldfrom
    if isinstance(awaitable, AsyncGeneratorType):
        return awaitable.ag_await
    if isinstance(awaitable, asyncio.Future) or type(awaitable).__module__ != "builtins":
        return getattr(awaitable, "cr_await", None) if type(awaitable).__name__ == "coro" else None
    # The wrappers of `async for`, `anext` and `await` are known to the garbage collector only.
    return next((one for one in gc.get_referents(awaitable) if isinstance(one, SUSPENDED)), None)
