"""``Wait``: what a task waits for, told by the frames of asyncio's own code that it is in, or by the future."""

import asyncio
import concurrent.futures
import inspect
import os
from asyncio import base_subprocess, locks, queues, streams, tasks
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import FrameType, FunctionType
from typing import Any

from ourio._insight.places import PACKAGE
from ourio._insight.waits.chain import frames

# So many of a group's tasks are followed.
_MEMBERS_MAX = 1000

_SYNCHRONISERS = (locks.Lock, locks.Event, locks.Condition, locks.Semaphore, locks.Barrier, queues.Queue)
_SOURCES = {
    os.path.abspath(inspect.getsourcefile(module) or ""): module
    for module in (locks, queues, streams, tasks, base_subprocess, asyncio.taskgroups, asyncio.runners)
}
_CHAINERS = {asyncio.shield.__code__.co_filename, asyncio.wrap_future.__code__.co_filename}
_SOCKET_CALLS = {
    "sock_recv": "data from",
    "sock_recv_into": "data from",
    "sock_sendall": "data to be taken by",
}


@dataclass(frozen=True)
class Wait:
    """What a task waits for.

    Attributes:
        kind: ``"task"``, ``"tasks"``, ``"lock"``, ``"event"``, ``"condition"``, ``"semaphore"``, ``"barrier"``,
            ``"queue"``, ``"timer"``, ``"socket"``, ``"thread"``, ``"process"``, ``"future"``, or ``"nothing"`` of a
            task that is about to run.
        text: The same in words, such as ``"a lock"`` or ``"data from 10.0.0.5:5432"``.
        tasks: The tasks that it waits for, or that hold what it waits for.
        is_held: Whether those hold it, rather than being what it waits for.
        needs_all: Whether it waits for all of them; else for any one.
        target: The object that it waits for.
    """

    kind: str
    text: str
    tasks: tuple["asyncio.Task[Any]", ...] = ()
    is_held: bool = False
    needs_all: bool = True
    target: Any = field(default=None, repr=False, compare=False)


def wait_of(task: "asyncio.Task[Any]", owners: dict[int, list["asyncio.Task[Any]"]] | None = None) -> Wait:
    """What a task waits for.

    Args:
        task: A task that is not done.
        owners: Who holds what, as :func:`owners` tells; holders are left out without it.
    """
    future = getattr(task, "_fut_waiter", None)
    if future is None or future.done():
        return Wait("nothing", "its turn to run")
    entered = list(frames(task.get_coro()))
    for depth in range(len(entered) - 1, -1, -1):
        if told := _told_by_frame(entered[depth], owners or {}):
            return (told.kind == "condition" and _told_by_barrier(entered[:depth])) or told
    return _told_by_future(future)


def _told_by_frame(frame: FrameType, owners: dict[int, list["asyncio.Task[Any]"]]) -> Wait | None:
    """What a frame of asyncio's own code is there to wait for."""
    code = frame.f_code
    if code.co_name in _SOCKET_CALLS and code.co_filename.startswith(PACKAGE):
        sock = frame.f_locals.get("sock")
        return Wait("socket", f"{_SOCKET_CALLS[code.co_name]} {_peer(sock)}", target=sock)
    module = _SOURCES.get(code.co_filename)
    if module is None:
        return None
    local = frame.f_locals
    subject = local.get("self")
    if module is tasks:
        return _told_by_task_function(code.co_name, local)
    if isinstance(subject, _SYNCHRONISERS):
        return _told_by_synchroniser(code.co_name, subject, owners)
    if isinstance(subject, asyncio.TaskGroup):
        return Wait("tasks", "the tasks of its group", _members(subject._tasks), target=subject)
    if isinstance(subject, (streams.StreamReader, streams.FlowControlMixin)):
        text = "data from" if isinstance(subject, streams.StreamReader) else "data to be taken by"
        return Wait("socket", f"{text} {_stream_peer(subject)}", target=subject)
    if isinstance(subject, base_subprocess.BaseSubprocessTransport):
        return Wait("process", f"process {subject.get_pid()} to end", target=subject)
    return None


def _told_by_task_function(function: str, local: Any) -> Wait | None:
    if function == "sleep":
        handle = local.get("h")
        return Wait("timer", f"a timer (sleep({local.get('delay')!r}))", target=handle)
    if function == "_wait":
        members = _members(local.get("fs") or ())
        any_one = local.get("return_when") != asyncio.ALL_COMPLETED
        return Wait("tasks", "any of several tasks" if any_one else "several tasks", members, needs_all=not any_one)
    return None


def _told_by_synchroniser(function: str, subject: Any, owners: dict[int, list["asyncio.Task[Any]"]]) -> Wait:
    holders = tuple(owners.get(id(subject), ()))
    match subject:
        case locks.Lock():
            return Wait("lock", "a lock", holders, is_held=True, target=subject)
        case locks.Condition():
            return Wait("condition", "a notification of a condition", target=subject)
        case locks.Semaphore():
            # Whoever waits for one of several places waits for any of their holders.
            return Wait("semaphore", "a semaphore", holders, is_held=True, needs_all=False, target=subject)
        case locks.Event():
            return Wait("event", "an event that is not set", target=subject)
        case locks.Barrier():
            return Wait("barrier", f"a barrier ({subject.n_waiting} of {subject.parties} are there)", target=subject)
        case _:
            said = {"get": "an item of an empty queue", "put": "room in a full queue"}
            return Wait("queue", said.get(function, "a queue to be worked off"), target=subject)


def _told_by_barrier(outer: list[FrameType]) -> Wait | None:
    """The barrier whose condition it is, if it is one's."""
    for frame in reversed(outer):
        if _SOURCES.get(frame.f_code.co_filename) is not locks:
            return None
        subject = frame.f_locals.get("self")
        if isinstance(subject, locks.Barrier):
            return _told_by_synchroniser(frame.f_code.co_name, subject, {})
    return None


def _told_by_future(future: Any) -> Wait:
    if isinstance(future, asyncio.Task):
        return Wait("task", f"task {future.get_name()!r}", (future,), target=future)
    children = getattr(future, "_children", None)
    if isinstance(future, asyncio.Future) and isinstance(children, (list, tuple)):
        members = _members(children)
        left = next((child for child in children if not child.done()), None)
        if members or left is None:
            return Wait("tasks", "several tasks (gather)", members, target=future)
        return _told_by_future(left)
    for callback, _ in getattr(future, "_callbacks", None) or ():
        source, inner = _closed_over(callback, "source"), _closed_over(callback, "inner")
        if isinstance(source, concurrent.futures.Future):
            return Wait("thread", "a job in an executor", target=source)
        if isinstance(inner, asyncio.Task):
            return Wait("task", f"task {inner.get_name()!r}, shielded", (inner,), target=inner)
    return Wait("future", "a future that is not set", target=future)


def _closed_over(callback: Any, name: str) -> Any:
    """What a function of asyncio's has in its closure: how ``wrap_future`` and ``shield`` chain two futures."""
    if not isinstance(callback, FunctionType) or callback.__code__.co_filename not in _CHAINERS:
        return None
    for variable, cell in zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True):
        if variable == name:
            try:
                return cell.cell_contents
            except ValueError:
                # Not bound yet.
                return None
    return None


def _members(futures: Iterable[Any]) -> tuple["asyncio.Task[Any]", ...]:
    found = []
    for one in tuple(futures)[:_MEMBERS_MAX]:
        if isinstance(one, asyncio.Task) and not one.done():
            found.append(one)
    return tuple(found)


def _peer(sock: Any) -> str:
    try:
        peer = sock.getpeername()
    except (OSError, AttributeError):
        return f"descriptor {sock.fileno()}" if hasattr(sock, "fileno") else "a socket"
    return _address(peer)


def _stream_peer(subject: Any) -> str:
    transport = getattr(subject, "_transport", None)
    if transport is None:
        return "a stream"
    peer = transport.get_extra_info("peername")
    if peer:
        return _address(peer)
    pipe = transport.get_extra_info("pipe")
    return f"a pipe (descriptor {pipe.fileno()})" if pipe is not None and not pipe.closed else "a stream"


def _address(peer: Any) -> str:
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and len(peer) >= 2 else repr(peer)
