"""Servers: what they are, how they end, and what they do when descriptors run out."""

import asyncio
import gc
import socket
import sys

import ourio
import pytest
from tcp_pair import Recorder


def test_what_a_server_is(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        connections = []

        class Kept(asyncio.Protocol):
            def connection_made(self, transport):
                connections.append(transport)

        server = await loop.create_server(Kept, "127.0.0.1", 0, start_serving=False)
        seen = [
            isinstance(server, asyncio.AbstractServer),
            server.is_serving(),
            server.get_loop() is loop,
            [type(sock).__name__ for sock in server.sockets],
        ]
        async with server:
            await server.start_serving()
            await server.start_serving()
            seen.append(server.is_serving())
            address = server.sockets[0].getsockname()
            _, writer = await asyncio.open_connection(*address)
            while not connections:
                await asyncio.sleep(0.001)
            server.close()
            server.close()
            seen += [server.is_serving(), server.sockets, connections[0].is_closing()]
            # asyncio: a closed server leaves its clients alone.
            connections[0].write(b"still here")
            writer.close()
            connections[0].close()
            try:
                await loop.create_connection(asyncio.Protocol, *address)
            except ConnectionRefusedError:
                seen.append("refused")
        return seen

    same_on_both(scenario)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
def test_a_server_ends_its_clients_when_told_to(same_on_both, how):
    async def scenario():
        lost = []

        class Kept(asyncio.Protocol):
            def connection_lost(self, error):
                lost.append(error)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(Kept, "127.0.0.1", 0)
        streams = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in range(3)]
        await asyncio.sleep(0.02)
        server.close()
        getattr(server, how)()
        await server.wait_closed()
        endings = []
        for reader, writer in streams:
            try:
                endings.append(await reader.read())
            except ConnectionResetError:
                endings.append("reset")
            writer.close()
        return lost, endings

    same_on_both(scenario)


def test_serving_for_ever_ends_when_cancelled(same_on_both):
    async def scenario():
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0.01)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return server.is_serving(), server.sockets

    same_on_both(scenario)


def test_a_server_out_of_descriptors_recovers(run, monkeypatch):
    import resource
    from asyncio import constants

    monkeypatch.setattr(constants, "ACCEPT_RETRY_DELAY", 0.05)

    async def main():
        loop = asyncio.get_running_loop()
        reports = []
        loop.set_exception_handler(lambda _loop, context: reports.append(context))
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        client = socket.socket()
        client.setblocking(False)
        highest = client.fileno()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        held = []
        try:
            while True:
                held.append(socket.socket())
        except OSError:
            pass
        try:
            await loop.sock_connect(client, server.sockets[0].getsockname())
            await asyncio.sleep(0.02)
            assert reports[0]["message"] == "socket.accept() out of system resource"
            # Stock asyncio goes on through its backlog and says it a hundred times.
            assert len(reports) == 1 or type(loop) is not ourio.EventLoop
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for each in held:
                each.close()
        await asyncio.sleep(0.1)
        client.close()
        await asyncio.sleep(0.01)
        server.close()
        await asyncio.sleep(0)

    run(main())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_server_and_its_connections_are_collected_together_in_silence(monkeypatch):
    complaints = []
    monkeypatch.setattr("sys.unraisablehook", complaints.append)

    class Kept(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

    async def main(loop):
        accepted = loop.create_future()

        def factory():
            accepted.set_result(None)
            return Kept()

        server = await loop.create_server(factory, "127.0.0.1", 0)
        _, client = await loop.create_connection(Kept, *server.sockets[0].getsockname())
        await accepted
        await asyncio.sleep(0.01)
        # A cycle, so that the collector takes them all apart.
        client.server, server.client, server.loop = server, client, loop

    loop = ourio.new_event_loop()
    loop.run_until_complete(main(loop))
    loop.close()
    del loop
    gc.collect()
    assert not complaints
