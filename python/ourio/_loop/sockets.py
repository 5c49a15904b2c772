"""``Sockets``: ``sock_recv``, ``sock_recv_into`` and ``sock_sendall``; asyncio has the others."""

from asyncio import base_events
from typing import Any

from ourio._loop.native import NativeLoop


class Sockets(NativeLoop):
    """Moves the bytes of a program's own sockets. Waiting is written out in each: a frame per wait would be dear."""

    async def sock_recv(self, sock: Any, n: int) -> bytes:
        """Receive up to n bytes from a non-blocking socket; none at the end of the stream."""
        while (data := self._receive_now(sock, n)) is None:
            fd, waiter = sock.fileno(), self._wait_readable(sock)
            try:
                await waiter
            except BaseException:
                self._stop_waiting(fd, waiter)
                raise
        return data

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """Receive from a non-blocking socket into a writable buffer; return the number of bytes."""
        while (count := self._receive_into_now(sock, buf)) is None:
            fd, waiter = sock.fileno(), self._wait_readable(sock)
            try:
                await waiter
            except BaseException:
                self._stop_waiting(fd, waiter)
                raise
        return count

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """Send all of data on a non-blocking socket."""
        sent = self._send_now(sock, data)
        if sent == len(data):
            return
        with memoryview(data) as view, view.cast("B") as rest:
            while sent < len(rest):
                fd, waiter = sock.fileno(), self._wait_writable(sock)
                try:
                    await waiter
                except BaseException:
                    self._stop_waiting(fd, waiter)
                    raise
                sent += self._send_now(sock, rest[sent:])

    # The native methods call these where the system call is not theirs to make: in debug mode, and for an object that
    # only behaves as a socket.

    def _receive_checked(self, sock: Any, n: int) -> bytes | None:
        self._check_socket(sock)
        try:
            return sock.recv(n)  # type: ignore[no-any-return]
        except (BlockingIOError, InterruptedError):
            return None

    def _receive_into_checked(self, sock: Any, buf: Any) -> int | None:
        self._check_socket(sock)
        try:
            return sock.recv_into(buf)  # type: ignore[no-any-return]
        except (BlockingIOError, InterruptedError):
            return None

    def _send_checked(self, sock: Any, data: Any) -> int:
        self._check_socket(sock)
        try:
            return sock.send(data)  # type: ignore[no-any-return]
        except (BlockingIOError, InterruptedError):
            return 0

    def _check_socket(self, sock: Any) -> None:
        base_events._check_ssl_socket(sock)  # type: ignore[attr-defined]
        if self._debug and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
