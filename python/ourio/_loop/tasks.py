"""``Tasks``: asyncio's own ``create_task``, and where tasks are noted while somebody asks for that."""

import asyncio
from asyncio import base_events
from typing import Any

from ourio._loop.native import NativeLoop

_asyncio_create_task = base_events.BaseEventLoop.create_task


class Tasks(NativeLoop):
    """The native ``create_task`` makes the plainest tasks itself, and hands all others on to here."""

    #: Where its tasks are noted while ``_tracks_tasks`` is set: has a ``note``.
    _task_registry: Any = None

    def _create_task(self, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        """asyncio's own ``create_task``, for all but the plainest call."""
        task = _asyncio_create_task(self, coro, **kwargs)
        try:
            if self._tracks_tasks:
                self._task_registry.note(task)
            return task
        finally:
            # asyncio (gh-128552): no cycle of a task's exception, this frame and the task.
            del task
