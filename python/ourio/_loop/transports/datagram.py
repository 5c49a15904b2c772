"""``DatagramTransports``: asyncio's datagram transport with native methods for what runs per datagram."""

import collections
import socket
from asyncio import selector_events
from typing import Any

from ourio import _ourio
from ourio._loop.native import NativeLoop


class DatagramTransports(NativeLoop):
    """IPv4 sockets have native methods; asyncio's transport has the others, and objects of a program's own."""

    def _make_datagram_transport(self, sock: Any, protocol: Any, *args: Any, **kwargs: Any) -> Any:
        if sock.family != socket.AF_INET or type(sock) is not socket.socket:
            return super()._make_datagram_transport(sock, protocol, *args, **kwargs)  # type: ignore[misc]
        self._ensure_fd_no_transport(sock)  # type: ignore[attr-defined]
        return _SelectorDatagramTransport(self, sock, protocol, *args, **kwargs)


class _SelectorDatagramTransport(selector_events._SelectorDatagramTransport):  # type: ignore[name-defined, misc]
    """asyncio's transport of an IPv4 socket, by name too. ``sendto`` and the receiving are native.

    Datagrams are received several at a time; those that come after one at which the protocol pauses or fails wait in
    ``_undelivered``. What is sent during one turn of the loop leaves together at its end; whoever asks or ends the
    transport finds that it has left.
    """

    _undelivered: Any = ()

    def get_write_buffer_size(self) -> Any:
        self._send_waiting()
        return super().get_write_buffer_size()

    def close(self) -> None:
        self._send_waiting()
        super().close()

    def abort(self) -> None:
        self._send_waiting()
        super().abort()

    def resume_reading(self) -> None:
        super().resume_reading()
        if self._undelivered:
            self._loop.call_soon(self._deliver)

    def _send_waiting(self) -> None:
        # asyncio forgets the loop once the connection is lost.
        if self._loop is not None:
            self._loop._send_waiting()

    def _postpone(self, datagrams: list[tuple[bytes, Any]]) -> None:
        """Keep datagrams; a transport that is paused delivers them when it resumes."""
        self._undelivered = collections.deque(datagrams)
        if not self._paused:
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        """Deliver what was kept, as far as the protocol takes it. Nothing is received meanwhile."""
        while self._undelivered and not self._paused and not self._conn_lost:
            try:
                self._protocol.datagram_received(*self._undelivered.popleft())
            except BaseException:
                if self._undelivered and not self._paused:
                    self._loop.call_soon(self._deliver)
                raise


_ourio._add_datagram_methods(_SelectorDatagramTransport)
