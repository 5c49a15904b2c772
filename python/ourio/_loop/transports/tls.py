"""``TlsTransports``: asyncio's TLS protocol and transport, with native methods for what runs per packet."""

from asyncio import constants, sslproto
from typing import Any

from ourio import _ourio
from ourio._loop.transports.stream import StreamTransports


class TlsTransports(StreamTransports):
    """A TLS connection is asyncio's protocol on a stream's transport."""

    # All its connections receive into this one.
    _tls_buffer: bytearray | None = None

    def _share_tls_buffer(self, protocol: Any) -> None:
        """Have a TLS connection receive into the loop's one buffer instead of 256 KiB of its own.

        What is received is copied into OpenSSL's before anything else can run, so no two need it at once. An idle
        connection then holds some 45 KiB, where asyncio's holds 300.
        """
        if type(protocol) is not sslproto.SSLProtocol:
            return
        if self._tls_buffer is None:
            self._tls_buffer = bytearray(sslproto.SSLProtocol.max_size)
        if type(protocol._app_transport) is sslproto._SSLProtocolTransport:
            protocol._app_transport.__class__ = _SSLProtocolTransport
        protocol._ssl_buffer = self._tls_buffer  # type: ignore[attr-defined]
        protocol._ssl_buffer_view = memoryview(self._tls_buffer)  # type: ignore[attr-defined]

    def _make_ssl_transport(
        self,
        rawsock: Any,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        ssl_handshake_timeout: Any = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: Any = constants.SSL_SHUTDOWN_TIMEOUT,
        context: Any = None,
    ) -> Any:
        self._ensure_fd_no_transport(rawsock)  # type: ignore[attr-defined]
        ssl_protocol = _make_protocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        self._share_tls_buffer(ssl_protocol)
        self._make_socket_transport(rawsock, ssl_protocol, extra=extra, server=server, context=context)
        return ssl_protocol._app_transport


class _SSLProtocolTransport(sslproto._SSLProtocolTransport):
    """asyncio's transport of a TLS connection, by name too. ``write`` and ``writelines`` are native."""


_ourio._add_tls_methods(_SSLProtocolTransport)
_SSLProtocol = sslproto.SSLProtocol


def _make_protocol(*args: Any, **kwargs: Any) -> Any:
    """Make asyncio's TLS protocol without the 256 KiB of zeros to receive into, which would be replaced at once."""
    if sslproto.SSLProtocol is not _SSLProtocol:
        return sslproto.SSLProtocol(*args, **kwargs)
    protocol: Any = _SSLProtocol.__new__(_SSLProtocol)
    # asyncio's constructor asks the object, which is told what the class says from then on.
    protocol.max_size = 0
    _SSLProtocol.__init__(protocol, *args, **kwargs)
    del protocol.max_size
    return protocol
