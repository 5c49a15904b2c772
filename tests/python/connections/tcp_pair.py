"""Two ends of a TCP connection on one loop, whose protocols note what they are told."""

import asyncio


class Recorder(asyncio.Protocol):
    """Writes down which of its methods is called, in order."""

    def __init__(self):
        self.calls = []
        self.data = bytearray()
        self.lost = asyncio.get_running_loop().create_future()
        self.made = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.calls.append("made")
        self.made.set_result(None)

    def data_received(self, data):
        assert type(data) is bytes
        self.data += data
        self.calls.append("data")

    def eof_received(self):
        self.calls.append("eof")

    def pause_writing(self):
        self.calls.append("pause")

    def resume_writing(self):
        self.calls.append("resume")

    def connection_lost(self, exc):
        self.calls.append("lost")
        self.lost.set_result(exc)


async def connected(server_factory=Recorder, client_factory=Recorder):
    """A server with one connection: (server, its protocol, the client's protocol)."""
    loop = asyncio.get_running_loop()
    accepted = loop.create_future()

    def factory():
        protocol = server_factory()
        accepted.set_result(protocol)
        return protocol

    server = await loop.create_server(factory, "127.0.0.1", 0)
    _, client = await loop.create_connection(client_factory, *server.sockets[0].getsockname())
    served = await accepted
    await served.made
    return server, served, client


async def closed(server, *protocols):
    for protocol in protocols:
        protocol.transport.close()
        await protocol.lost
    server.close()
    # `wait_closed` is not waited for here: in 3.12.1 it never returns once connections have gone.
    await asyncio.sleep(0)
