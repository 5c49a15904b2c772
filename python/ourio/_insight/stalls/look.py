"""A look at a loop's thread: what it does at this moment, and where."""

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

from ourio._insight.places import is_own
from ourio._insight.stalls.cause import cause_of, collected_for
from ourio._insight.stalls.stall import Stall
from ourio._loop import EventLoop
from ourio._ourio import StallWatch

#: A stall as the native half tells of it: the turn, seconds so far, whether it is over, seconds since it was seen, and
#: what the kernel said of the thread.
News = tuple[int, float, bool, float, list[Any]]

# The lock is handed over after 5 ms at the latest (sys.getswitchinterval), unless native code keeps it.
_PROMPT = 0.03
_HERE = os.path.join(os.path.dirname(__file__), "")


def look_at(watch: StallWatch, loop: EventLoop | None, news: News) -> Stall:
    """What the loop's thread does now, as far as it still does what the news is about."""
    turn, duration, over, age, states = news
    thread = None if loop is None else loop._thread_id
    frame = sys._current_frames().get(thread) if thread is not None else None
    by_itself = thread == threading.get_ident()
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        # It looks, or is about to, from between two instructions of the program.
        frame = frame.f_back
    current = None if loop is None else asyncio.current_task(loop)
    frames = [(one.f_code, one.f_lineno) for one in _walk(frame)]
    # Up to here nothing lets go of the lock, which the loop would take to go on to something else.
    still = not over and watch.is_still(turn)
    computes, calls = watch.look() if still and not by_itself else (False, False)
    # Whoever is in a system call, or computes, while we have the lock does so without.
    kept = age - collected_for(watch, age) > _PROMPT and not computes and not calls
    cause, detail = cause_of(watch, duration, kept, states, computes)
    if not still or not frames:
        return Stall(duration, over, cause, detail)
    code, line = next(((code, line) for code, line in frames if is_own(code.co_filename)), frames[0])
    return Stall(
        duration,
        over,
        cause,
        detail,
        task=None if current is None else current.get_name(),
        filename=code.co_filename,
        lineno=line,
        function=code.co_qualname,
        stack=traceback.StackSummary.from_list(
            [
                traceback.FrameSummary(code.co_filename, line, code.co_name, lookup_line=False)
                for code, line in reversed(frames)
            ]
        ),
    )


def is_of_ours(error: BaseException) -> bool:
    """Whether an exception was raised by what looks, and not by what interrupted it."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return False
    filename = place.tb_frame.f_code.co_filename
    return filename == traceback.__file__ or filename.startswith(_HERE)


def _walk(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
