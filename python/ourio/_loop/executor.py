"""``Executor``: ``run_in_executor``, and the default executor, whose threads wait for their jobs in our way."""

import functools
import queue
import threading
import time
from concurrent import futures
from typing import Any

from ourio import _ourio
from ourio._loop.native import NativeLoop

_ThreadPoolExecutor = futures.ThreadPoolExecutor


class Executor(NativeLoop):
    """asyncio's executors: a ``ThreadPoolExecutor`` stays one."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Run a function in another thread or process; return a future of its result."""
        if executor is None and self._default_executor is None:
            self._make_default_executor()
        if self._is_recording and (executor is None or isinstance(executor, _ThreadPoolExecutor)):
            return super().run_in_executor(executor, _RecordedJob(self, func), *args)
        return super().run_in_executor(executor, func, *args)

    def set_default_executor(self, executor: futures.Executor) -> None:
        """Set the executor of ``run_in_executor(None, ...)`` and ``asyncio.to_thread``."""
        super().set_default_executor(executor)  # type: ignore[arg-type]  # It says what it takes.
        if type(executor) is _ThreadPoolExecutor:
            self._adopt(executor)

    def _make_default_executor(self) -> None:
        """Make asyncio's executor, whose threads wait for their jobs in our way; unless it is too late for one."""
        if self._executor_shutdown_called:  # type: ignore[attr-defined]
            return
        # asyncio: what a program has put in its place is used; only the real one has what is adopted.
        executor = futures.ThreadPoolExecutor(thread_name_prefix="asyncio")
        if type(executor) is _ThreadPoolExecutor:
            self._adopt(executor)
        self._default_executor = executor

    def _adopt(self, executor: Any) -> None:
        """Have an executor's threads wait for their jobs in our way, if none has begun to wait in another."""
        with executor._shutdown_lock:  # As in submit().
            jobs = executor._work_queue
            if type(jobs) is queue.SimpleQueue and jobs.empty() and not executor._threads:
                jobs = executor._work_queue = _ourio.WorkQueue()
        if type(jobs) is _ourio.WorkQueue:
            self._listen_to_jobs(jobs)


class _RecordedJob:
    """A function that a flight recorder notes when it has run in its thread."""

    def __init__(self, loop: NativeLoop, function: Any) -> None:
        self._loop, self._function = loop, function

    def __call__(self, *args: Any) -> Any:
        began = time.monotonic()
        try:
            return self._function(*args)
        finally:
            name = _name_of(self._function)
            self._loop._record_job(name, threading.current_thread().name, began)


def _name_of(function: Any) -> str:
    """What a job is called: ``to_thread`` runs it in a context, which is in a ``partial``."""
    while isinstance(function, functools.partial):
        runs = getattr(function.func, "__name__", "") == "run" and function.args
        function = function.args[0] if runs else function.func
    return getattr(function, "__qualname__", None) or type(function).__name__
