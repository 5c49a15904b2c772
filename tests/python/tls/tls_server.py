"""A server's protocol on TLS, which notes what it is told."""

import asyncio

BLOCK = bytes(range(256)) * 4096


class Server(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self):
        self.events = []
        self.received = bytearray()
        self.lost = asyncio.get_running_loop().create_future()
        self.made = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.made.set_result(transport)

    def data_received(self, data):
        assert type(data) is bytes
        self.received += data

    def eof_received(self):
        self.events.append("eof")

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, error):
        self.events.append(f"lost {error!r}")
        self.lost.set_result(None)
