"""asyncio's TLS transport with native methods for what runs per packet."""

from asyncio import sslproto
from typing import Any

from ourio import _ourio


class _SSLProtocolTransport(sslproto._SSLProtocolTransport):
    """asyncio's transport of a TLS connection, by name too. ``write`` and ``writelines`` are native."""


_ourio._add_tls_methods(_SSLProtocolTransport)


def make_native(protocol: Any) -> None:
    """Give the transport that a TLS protocol has made its native methods."""
    if type(protocol._app_transport) is sslproto._SSLProtocolTransport:
        protocol._app_transport.__class__ = _SSLProtocolTransport
