"""Types of the native half."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Self, TypeVar, TypeVarTuple, Unpack, final

from typing_extensions import disjoint_base

__all__ = [
    "Handle",
    "Loop",
    "StreamTransport",
    "ThreadSafeHandle",
    "TimerHandle",
    "__version__",
    "_add_tls_methods",
    "_check_interpreter",
]

__version__: str

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

def _add_tls_methods(cls: type) -> None: ...
def _check_interpreter() -> None: ...

@disjoint_base
class Handle:
    def cancel(self) -> None: ...
    def cancelled(self) -> bool: ...
    def get_context(self) -> Context | None: ...

@final
class TimerHandle(Handle):
    def when(self) -> float: ...

@final
class ThreadSafeHandle(Handle): ...

@final
class StreamTransport(asyncio.Transport):
    def __new__(
        cls,
        event_loop: Loop,
        sock: Any,
        protocol: Any,
        waiter: Any = None,
        extra: Any = None,
        server: Any = None,
        context: Any = None,
    ) -> Self: ...
    def _start(self) -> None: ...

@disjoint_base
class Loop:
    _debug: bool
    _closed: bool
    _stopping: bool
    _thread_id: int | None
    _task_factory: Callable[..., Any] | None
    _ready: list[Any]
    _scheduled: list[Any]
    def __new__(cls, *_args: object, **_kwargs: object) -> Self: ...
    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle: ...
    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle: ...
    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle: ...
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle: ...
    def time(self) -> float: ...
    def get_debug(self) -> bool: ...
    def is_running(self) -> bool: ...
    def is_closed(self) -> bool: ...
    def create_future(self) -> asyncio.Future[Any]: ...
    def create_task(
        self, coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T], **kwargs: Any
    ) -> asyncio.Task[_T]: ...
    def _run(self) -> None: ...
    def _run_once(self) -> None: ...
    def _renew_after_fork(self) -> None: ...
    def _release(self) -> None: ...
    def _signal_fd(self) -> int: ...
    def _counters(self) -> dict[str, int]: ...
    def _watched(self, fd: int) -> tuple[int, Any, Any] | None: ...
