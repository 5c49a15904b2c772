"""What a loop is blocked by: what the kernel, the collector of garbage and the interpreter's lock say together."""

import os
import socket
import time
from typing import Any

from ourio._insight.stalls.stall import CALL, COLLECTION, DESCHEDULED, GIL, LOCK, NATIVE, PYTHON, UNKNOWN
from ourio._ourio import StallWatch


def cause_of(watch: StallWatch, duration: float, kept: bool, states: list[Any], computes: bool) -> tuple[str, str]:
    """What the kernel's answers, and the time until we had the interpreter's lock, say together."""
    started, stopped = watch.collection()
    now = time.monotonic()
    ended = now if started > stopped else stopped
    if ended - started > duration / 2 and ended >= now - duration:
        return COLLECTION, f"{ended - started:.2f} s"
    if not states:
        return UNKNOWN, ""
    first, last = states[0], states[-1]
    if None not in (first[2], last[2]) and last[2] - first[2] > duration / 2:
        return DESCHEDULED, f"{last[2] - first[2]:.2f} s"
    letter, _, _, call, descriptor, is_lock = last
    if letter in "SD":
        if is_lock:
            return (GIL if kept else LOCK), ""
        if call is not None or letter == "D":
            return CALL, _described(call or "a device", descriptor) + (", with the GIL held" if kept else "")
        return UNKNOWN, "a wait that the kernel does not tell"
    if kept:
        return NATIVE, "with the GIL held"
    return (NATIVE, "without the GIL") if computes else (PYTHON, "")


def collected_for(watch: StallWatch, age: float) -> float:
    """For how long of the last seconds garbage was collected, which nobody else can run meanwhile."""
    now = time.monotonic()
    started, stopped = watch.collection()
    ended = now if started > stopped else stopped
    return max(0.0, ended - max(started, now - age))


def _described(call: str, descriptor: int | None) -> str:
    """A system call, and what its descriptor is."""
    if descriptor is None:
        return call
    text = f"{call} on descriptor {descriptor}"
    try:
        target = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return text
    if not target.startswith("socket:"):
        return f"{text}, {target}"
    try:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            peer = sock.getpeername()
    except OSError:
        return f"{text}, a socket"
    return f"{text}, peer {peer[0]}:{peer[1]}" if isinstance(peer, tuple) else f"{text}, peer {peer!r}"
