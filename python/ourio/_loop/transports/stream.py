"""``StreamTransports``: the transports of TCP and Unix connections."""

import socket
from typing import Any

from ourio import _ourio
from ourio._loop.native import NativeLoop


class StreamTransports(NativeLoop):
    """They are native, unless a program brings a socket of its own making."""

    def _make_socket_transport(
        self,
        sock: Any,
        protocol: Any,
        waiter: Any = None,
        *,
        extra: Any = None,
        server: Any = None,
        context: Any = None,
    ) -> Any:
        if not _is_plain(sock):
            # An object of the program's own that only behaves as a socket: its methods move the bytes.
            own = {} if context is None else {"context": context}
            return super()._make_socket_transport(  # type: ignore[misc]
                sock, protocol, waiter, extra=extra, server=server, **own
            )
        transport = _ourio.StreamTransport(self, sock, protocol, waiter, extra, server, context)
        transport._start()
        return transport


# What moves a socket's bytes, or tells which socket it is.
_METHODS = ("recv", "recv_into", "send", "sendmsg", "shutdown", "close", "fileno")


def _is_plain(sock: Any) -> bool:
    """Whether a socket moves its bytes as ``socket.socket`` does: then system calls may do it."""
    kind = type(sock)
    return kind is socket.socket or (
        issubclass(kind, socket.socket)
        and all(getattr(kind, name) is getattr(socket.socket, name) for name in _METHODS)
    )
