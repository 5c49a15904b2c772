"""What a task waits for, where, and who holds it: read from the program's own objects, at no cost before it is asked.

A suspended coroutine knows what it awaits, and its frame what it has entered: the ``__aexit__`` that ``async with``
will call lies on the frame's stack, where the garbage collector sees it, and so can we. So the holder of a lock is
known without having watched it being taken. Only of a lock taken by a bare ``acquire()`` there is no trace.

Nothing here runs code of the program, but for the ``repr`` of nothing at all: names and lines are all that is told.
All of it needs the interpreter's lock, which its functions keep: they may be called from any thread.
"""

import asyncio
import concurrent.futures
import gc
import inspect
import os
import sysconfig
from asyncio import base_subprocess, locks, queues, streams, tasks
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    TracebackType,
)
from typing import Any

from ourio import _ourio

_PATHS = sysconfig.get_paths()
_LIBRARIES = tuple({os.path.join(_PATHS[name], "") for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_OWN = os.path.join(os.path.dirname(_ourio.__file__), "")
# A chain of awaits that is longer is shown up to here.
_CHAIN_MAX = 500
# So many of a group's tasks are followed.
_MEMBERS_MAX = 1000

_SUSPENDED = (CoroutineType, GeneratorType, AsyncGeneratorType)
_SYNCHRONISERS = (locks.Lock, locks.Event, locks.Condition, locks.Semaphore, locks.Barrier, queues.Queue)
_EXITS = ("__aexit__", "__exit__")
_WAITS_WITH_TIMEOUT = {asyncio.wait_for.__code__, tasks._wait.__code__}  # type: ignore[attr-defined]
# What anyio, async-timeout and trio-like libraries call theirs.
_SCOPES = ("CancelScope", "Timeout", "_Timeout")
_OWNED = (locks.Lock, locks.Condition, locks.Semaphore)
_SOURCES = {
    os.path.abspath(inspect.getsourcefile(module) or ""): module
    for module in (locks, queues, streams, tasks, base_subprocess, asyncio.taskgroups, asyncio.runners)
}

_CHAINERS = {asyncio.shield.__code__.co_filename, asyncio.wrap_future.__code__.co_filename}


def is_own(filename: str) -> bool:
    """Whether a file is the program's: neither a library's nor ours."""
    return not filename.startswith(("<frozen", *_LIBRARIES, _OWN))


@dataclass(frozen=True)
class Place:
    """A line of a program."""

    filename: str
    lineno: int
    function: str

    def __str__(self) -> str:
        return f'"{self.filename}", line {self.lineno}, in {self.function}'


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


def stack(task: "asyncio.Task[Any]") -> list[Place]:
    """Where a task is: its coroutine's line, and those of all that it awaits, the innermost last."""
    return [
        Place(frame.f_code.co_filename, frame.f_lineno, _name(frame.f_code))
        for frame in _frames(task.get_coro())
        if frame.f_lineno is not None
    ]


def place(task: "asyncio.Task[Any]") -> Place | None:
    """The innermost line of the program's own code that a task is at; of any code if there is none."""
    places = stack(task)
    return next((one for one in reversed(places) if is_own(one.filename)), places[-1] if places else None)


def own_place(trace: TracebackType | None) -> Place | None:
    """The innermost line of the program's own code in a traceback; of any code if there is none."""
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(Place(code.co_filename, trace.tb_lineno, _name(code)))
        trace = trace.tb_next
    return next((one for one in reversed(places) if is_own(one.filename)), places[-1] if places else None)


def wait_of(task: "asyncio.Task[Any]", owners: dict[int, list["asyncio.Task[Any]"]] | None = None) -> Wait:
    """What a task waits for.

    Args:
        task: A task that is not done.
        owners: Who holds what, as :func:`owners` tells; holders are left out without it.
    """
    future = getattr(task, "_fut_waiter", None)
    if future is None or future.done():
        return Wait("nothing", "its turn to run")
    frames = list(_frames(task.get_coro()))
    for depth in range(len(frames) - 1, -1, -1):
        if told := _told_by_frame(frames[depth], owners or {}):
            return (told.kind == "condition" and _told_by_barrier(frames[:depth])) or told
    return _told_by_future(future)


def has_deadline(task: "asyncio.Task[Any]") -> bool:
    """Whether a timeout will end a task's wait: ``asyncio.timeout``, ``wait_for``, or a scope of another library."""
    for link in _chain(task.get_coro()):
        frame = _frame(link)
        if frame is not None and frame.f_code in _WAITS_WITH_TIMEOUT and frame.f_locals.get("timeout") is not None:
            return True
        for entered in _entered(link):
            if isinstance(entered, asyncio.Timeout):
                if entered.when() is not None:
                    return True
            elif type(entered).__name__ in _SCOPES:
                return True
    return False


def owners(pending: Iterable["asyncio.Task[Any]"]) -> dict[int, list["asyncio.Task[Any]"]]:
    """Who holds which lock, condition or semaphore, by the ``id`` of it.

    A condition's holder holds its lock too.
    """
    held: dict[int, list[asyncio.Task[Any]]] = {}
    for task in pending:
        for link in _chain(task.get_coro()):
            for entered in _entered(link):
                if not isinstance(entered, _OWNED):
                    continue
                held.setdefault(id(entered), []).append(task)
                if isinstance(entered, locks.Condition):
                    held.setdefault(id(entered._lock), []).append(task)  # type: ignore[attr-defined]
    return held


def cycles(pending: Iterable["asyncio.Task[Any]"]) -> list[list[tuple["asyncio.Task[Any]", Wait]]]:
    """Circles of tasks of which each waits for the next: none of them can ever go on, unless it is cancelled.

    A task that waits for any one of several tasks is in a circle only if there is one task alone. A semaphore blocks
    for good only if all that hold it do, so only one of a single holder counts.
    """
    pending = list(pending)
    held = owners(pending)
    edges: dict[asyncio.Task[Any], tuple[asyncio.Task[Any], ...]] = {}
    waits: dict[asyncio.Task[Any], Wait] = {}
    for task in pending:
        wait = wait_of(task, held)
        certain = (wait.needs_all or len(wait.tasks) == 1) and not has_deadline(task)
        waits[task] = wait
        edges[task] = tuple(other for other in wait.tasks if not other.done()) if certain else ()
    found = []
    finished: set[asyncio.Task[Any]] = set()
    for start in pending:
        path: list[asyncio.Task[Any]] = []
        on_path: dict[asyncio.Task[Any], int] = {}
        todo: list[tuple[asyncio.Task[Any], Iterator[asyncio.Task[Any]]]] = []
        if start not in finished:
            todo.append((start, iter(edges[start])))
            on_path[start] = 0
            path.append(start)
        while todo:
            task, rest = todo[-1]
            following = next(rest, None)
            if following is None:
                todo.pop()
                path.pop()
                del on_path[task]
                finished.add(task)
            elif following in on_path:
                found.append([(one, waits[one]) for one in path[on_path[following] :]])
            elif following in edges and following not in finished:
                on_path[following] = len(path)
                path.append(following)
                todo.append((following, iter(edges[following])))
    return found


def _name(code: CodeType) -> str:
    return code.co_qualname


def _chain(awaitable: Any) -> Iterator[Any]:
    """A coroutine, what it awaits, what that awaits, and so on, the innermost last."""
    seen: set[int] = set()
    while awaitable is not None and id(awaitable) not in seen and len(seen) < _CHAIN_MAX:
        seen.add(id(awaitable))
        yield awaitable
        awaitable = _awaited_by(awaitable)


def _awaited_by(awaitable: Any) -> Any:
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
    return next((one for one in gc.get_referents(awaitable) if isinstance(one, _SUSPENDED)), None)


def _frame(link: Any) -> FrameType | None:
    if isinstance(link, CoroutineType):
        return link.cr_frame
    if isinstance(link, GeneratorType):
        return link.gi_frame
    if isinstance(link, AsyncGeneratorType):
        return link.ag_frame
    # Coroutines of compiled modules have frames too.
    frame = getattr(link, "cr_frame", None)
    return frame if isinstance(frame, FrameType) else None


def _frames(coroutine: Any) -> Iterator[FrameType]:
    for link in _chain(coroutine):
        frame = _frame(link)
        if frame is not None:
            yield frame


def _entered(link: Any) -> Iterator[Any]:
    """The context managers of ours and of libraries whose ``with`` block a suspended frame is in."""
    if not isinstance(link, _SUSPENDED):
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
    awaited = _awaited_by(link)
    if found and isinstance(awaited, CoroutineType) and awaited.cr_code.co_name == "__aenter__":
        # The last one is being entered.
        found.pop()
    yield from found


def _told_by_frame(frame: FrameType, owners: dict[int, list["asyncio.Task[Any]"]]) -> Wait | None:
    """What a frame of asyncio's own code is there to wait for."""
    code = frame.f_code
    if code.co_name in _SOCKET_CALLS and code.co_filename.startswith(_OWN):
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


_SOCKET_CALLS = {
    "sock_recv": "data from",
    "sock_recv_into": "data from",
    "sock_sendall": "data to be taken by",
}


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
