"""Forgotten awaits: coroutines that were made and dropped, with the line that made them and its task.

The interpreter warns of each when it drops it, through a function of the module ``warnings``. While somebody listens
here that function is ours, and calls the interpreter's own. Where a coroutine was made is known if the interpreter was
told to note it, which the loop does for its thread while somebody listens.
"""

import asyncio
import logging
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ourio._insight.places import Place, innermost_own
from ourio._ourio import ChainedHook

_logger = logging.getLogger("ourio")

#: How many frames of a coroutine's origin are noted: enough to find the program's own line.
DEPTH = 6

_HOOK = "_warn_unawaited_coroutine"


@dataclass(frozen=True)
class ForgottenAwait:
    """A coroutine that was never awaited.

    Attributes:
        coroutine: Its qualified name.
        created_at: The line that made it; ``None`` if it was not noted.
        task: The name of the task in which it was dropped, which is most often the one that made it.
    """

    coroutine: str
    created_at: Place | None
    task: str | None

    def __str__(self) -> str:
        text = f"coroutine {self.coroutine!r} was never awaited"
        if self.created_at is not None:
            text += f": it was made at {self.created_at}"
        if self.task is not None:
            text += f", in task {self.task!r}"
        return text


_listeners: list[Callable[[ForgottenAwait], object]] = []
_changing = threading.Lock()
_original: Callable[[Any], None] | None = None
_hook: ChainedHook | None = None


def listen(listener: Callable[[ForgottenAwait], object]) -> None:
    """Have a function called with each forgotten await, in whichever thread drops it."""
    global _original, _hook  # noqa: PLW0603 (the interpreter has one such function)
    with _changing:
        _listeners.append(listener)
        if _original is None:
            _original = getattr(warnings, _HOOK)
            # Native: the interpreter's function names the line of its caller, which must not be one of ours.
            _hook = ChainedHook(_tell, _original)
            setattr(warnings, _HOOK, _hook)


def unlisten(listener: Callable[[ForgottenAwait], object]) -> None:
    """Call it no more; with the last one the interpreter's function is in its place again."""
    global _original, _hook  # noqa: PLW0603
    with _changing:
        _listeners.remove(listener)
        if not _listeners and _original is not None:
            if getattr(warnings, _HOOK) is _hook:
                setattr(warnings, _HOOK, _original)
            _original = _hook = None


def _tell(coroutine: Any) -> None:
    try:
        forgotten = ForgottenAwait(coroutine.__qualname__, _origin(coroutine), _task_name())
        for listener in tuple(_listeners):
            listener(forgotten)
    except Exception:
        _logger.exception("a forgotten await could not be told")


def _origin(coroutine: Any) -> Place | None:
    """The innermost line of the program's own code that made a coroutine."""
    return innermost_own(Place(*entry) for entry in getattr(coroutine, "cr_origin", None) or ())


def _task_name() -> str | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else task.get_name()
