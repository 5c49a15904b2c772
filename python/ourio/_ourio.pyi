"""Types of the native half."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

__version__: str

class Handle:
    def cancel(self) -> None: ...
    def cancelled(self) -> bool: ...
    def get_context(self) -> Context | None: ...

class TimerHandle(Handle):
    def when(self) -> float: ...

class StreamTransport(asyncio.Transport):
    def __init__(
        self,
        event_loop: Loop,
        sock: Any,
        protocol: Any,
        waiter: Any = None,
        extra: Any = None,
        server: Any = None,
        context: Any = None,
    ) -> None: ...
    def _start(self) -> None: ...

class Loop:
    _debug: bool
    _closed: bool
    _stopping: bool
    _thread_id: int | None
    _task_factory: Callable[..., Any] | None
    _ready: list[Any]
    def _run(self) -> None: ...
    def _run_once(self) -> None: ...
    def _release(self) -> None: ...
    def _signal_fd(self) -> int: ...
    def _counters(self) -> dict[str, int]: ...
    def _watched(self, fd: int) -> tuple[int, Any, Any] | None: ...
