"""What could wake a loop that watches nothing: other threads, of Python or not, and handlers of signals."""

import signal
import sys
import threading
from concurrent.futures import thread as pool
from typing import Any

from ourio import _ourio
from ourio._insight.deadlock.threads import is_ours, threads_beside
from ourio._loop import EventLoop, open_loops


def could_wake(loop: EventLoop | None = None) -> list[str]:
    """What could wake a loop that watches nothing: other threads, and handlers of signals, in words.

    Args:
        loop: The loop; the calling thread's own if ``None``.
    """
    me = threading.get_ident() if loop is None else loop._thread_id
    frames = sys._current_frames()
    found = []
    known: set[int | None] = {threading.get_native_id()}
    for thread in threading.enumerate():
        known.add(thread.native_id)
        if thread.ident == me or is_ours(thread.name) or _is_idle(thread, frames.get(thread.ident or 0)):
            continue
        found.append(f"thread {thread.name!r}")
    found += [f"a thread that is not Python's ({name})" for name in _foreign_threads(known)]
    found += [
        f"signal {number.name if isinstance(number, signal.Signals) else number}" for number in _handled_signals()
    ]
    return found


def hears_from_outside(loop: EventLoop) -> bool:
    """Whether the outside may wake a loop that watches nothing: by a signal that the loop handles, or through a thread
    that runs, sleeps for a time, or waits in the kernel for something else than another thread."""
    if loop._signal_handlers:  # type: ignore[attr-defined]
        return True
    # Loops in other threads that nothing wakes either.
    asleep = {other._thread_id for other in list(open_loops) if other._sleeps_without_end()}
    inside = {thread.native_id for thread in threading.enumerate() if thread.ident in asleep or is_ours(thread.name)}
    inside.add(threading.get_native_id())
    return any(not is_ours(name) and _waits_outside(number) for number, name in threads_beside(inside))


def _waits_outside(thread: int) -> bool:
    """Whether a thread runs, begins or ends, or is in a system call that is no wait for another thread."""
    state = _ourio._state_of(thread)
    if state is None:
        return False
    activity, _, _, call, _, is_lock = state
    return activity != "S" or (call is not None and not is_lock)


def _handled_signals() -> list[int]:
    """The signals for which the program has a handler. Ctrl-C ends a program, and does not make it go on."""
    return [
        number
        for number in sorted(signal.valid_signals())
        if number != signal.SIGINT and callable(signal.getsignal(number))
    ]


def _is_idle(thread: threading.Thread, frame: Any) -> bool:
    """Whether a thread is a pool's, and waits for its next job; or has just taken one, which it shows nobody yet."""
    jobs = pool._threads_queues.get(thread)
    return jobs is not None and jobs.empty() and frame is not None and frame.f_code is pool._worker.__code__


def _foreign_threads(known: set[int | None]) -> list[str]:
    return [name for _, name in threads_beside(known) if not is_ours(name)]
