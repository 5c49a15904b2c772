"""The threads of the process: which are ours, and whether the others get on."""

import contextlib
import os
import sys
import threading

from ourio import _ourio

# Threads of ours, which wake no loop.
_OURS = "ourio-"
# A thread that has had a processor for less, between two looks, has not got on.
_USED = 0.001

#: Where a thread is: its frame, the instruction there, and the seconds that it has had a processor.
Position = tuple[int, int, float]


def is_ours(name: str) -> bool:
    """Whether a thread of that name is one of ours."""
    return name.startswith(_OURS)


def has_others() -> bool:
    """Whether there are threads of Python's but the calling one and ours."""
    me = threading.current_thread()
    return any(thread is not me and not is_ours(thread.name) for thread in threading.enumerate())


def positions() -> dict[int, Position]:
    """Where each other thread of the program is: one that gets on may still come to wake the loop."""
    numbers = {thread.ident: thread.native_id for thread in threading.enumerate() if not is_ours(thread.name)}
    ours = {thread.ident for thread in threading.enumerate() if is_ours(thread.name)}
    return {
        thread: (id(frame), frame.f_lasti, _processor_time(numbers.get(thread)))
        for thread, frame in sys._current_frames().items()
        if thread not in ours
    }


def are_still(earlier: dict[int, Position], positions: dict[int, Position]) -> bool:
    """Whether no thread has got on, and none has come."""
    return all(_is_still(earlier.get(one), now) for one, now in positions.items())


def _is_still(before: Position | None, now: Position) -> bool:
    # Who is asked while it runs is always found where it lets go of the interpreter's lock.
    return before is not None and before[:2] == now[:2] and now[2] - before[2] < _USED


def _processor_time(thread: int | None) -> float:
    state = _ourio._state_of(thread) if thread else None
    return (state[1] if state else None) or 0.0


def threads_beside(known: set[int | None]) -> list[tuple[int, str]]:
    """The other threads of this process: their numbers, and their names as the kernel knows them."""
    try:
        numbers = [int(number) for number in os.listdir("/proc/self/task")]
    except OSError:
        return [(0, "unknown")]
    found = []
    for number in numbers:
        if number in known:
            continue
        # It may have ended.
        with contextlib.suppress(OSError), open(f"/proc/self/task/{number}/comm") as file:
            found.append((number, file.read().strip()))
    return found
