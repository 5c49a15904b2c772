"""The transports of a loop's connections: native, or asyncio's with native methods for what runs per packet."""

from ourio._loop.transports.datagram import DatagramTransports
from ourio._loop.transports.stream import StreamTransports
from ourio._loop.transports.tls import TlsTransports

__all__ = ["Transports"]


class Transports(TlsTransports, StreamTransports, DatagramTransports):
    """Makes the transport of a connection, of whichever kind."""
