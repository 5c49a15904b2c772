"""``Signals``: they wake the loop through a descriptor that is the native loop's."""

import signal
import threading

from ourio._loop.native import NativeLoop


class _WakeupDescriptor:
    """The descriptor that asyncio hands to ``signal.set_wakeup_fd``. The native loop owns it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd


class Signals(NativeLoop):
    """Stands in for asyncio's pair of sockets, of which it has none."""

    def _listen_to_signals(self) -> bool:
        """Have signals wake the loop, so that none waits for the next event. Only Python's main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return False
        before = signal.set_wakeup_fd(self._signal_fd(), warn_on_full_buffer=False)
        if before not in (-1, self._signal_fd()):
            # Somebody else's; a signal then still interrupts the wait itself.
            signal.set_wakeup_fd(before)
            return False
        return True

    def _stop_listening_to_signals(self) -> None:
        current = signal.set_wakeup_fd(-1)
        if current != self._signal_fd():
            # The program has set another meanwhile.
            signal.set_wakeup_fd(current)

    def _make_self_pipe(self) -> None:
        self._csock: _WakeupDescriptor | None = _WakeupDescriptor(self._signal_fd())
        self._ssock: _WakeupDescriptor | None = self._csock
        self._internal_fds = 1

    def _close_self_pipe(self) -> None:
        self._csock = self._ssock = None
        self._internal_fds = 0
