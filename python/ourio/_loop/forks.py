"""``Forks``: what a loop does before its process is forked, and in the child."""

import asyncio
import functools
import os
import signal
import threading
from collections.abc import Iterable

from ourio import _ourio
from ourio._loop.signals import Signals


class Forks(Signals):
    """Separates a loop from that of the parent: both processes have the same kernel objects."""

    def _renew(self) -> None:
        """Take this loop over into a process that was forked."""
        inherited = self._csock
        self._renew_after_fork()
        if inherited is None:
            return
        self._close_self_pipe()
        self._make_self_pipe()
        if threading.current_thread() is threading.main_thread():
            current = signal.set_wakeup_fd(-1)
            if current == inherited.fileno():
                # asyncio (gh-66197): else a signal of the child would be handled by its parent.
                current = self._signal_fd() if self._signal_handlers else -1  # type: ignore[attr-defined]
            signal.set_wakeup_fd(current)


def separate_children(loops: Iterable[Forks]) -> None:
    """From now on, separate loops of this process from those of its children.

    Args:
        loops: Those that are open; asked in the child.
    """
    os.register_at_fork(before=_send_before_fork, after_in_child=functools.partial(_renew_after_fork, loops))


def _send_before_fork() -> None:
    """Send what a callback has written before it forks: else both processes would send it."""
    loop = asyncio._get_running_loop()
    if isinstance(loop, Forks):
        loop._send_waiting()


def _renew_after_fork(loops: Iterable[Forks]) -> None:
    _ourio._renew_pending_calls()
    _ourio._renew_work_queues()
    for loop in list(loops):
        loop._renew()
