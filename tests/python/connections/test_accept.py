"""Connections that come and go: how they are accepted, and the tables of asyncio's that they are entered in."""

import asyncio
import gc
import socket
import sys

import pytest


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def ask(address):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"ask")
    answer = await reader.readexactly(3)
    writer.close()
    await writer.wait_closed()
    return answer


def test_connections_are_all_served_alone_and_in_a_rush(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        other = await loop.create_server(Echo, "127.0.0.1", 0)
        address, elsewhere = server.sockets[0].getsockname(), other.sockets[0].getsockname()
        answers = []
        for _ in range(3):
            for _ in range(20):
                answers.append(await ask(address))
            answers += await asyncio.gather(*(ask(address) for _ in range(60)))
            answers += [await ask(elsewhere), await ask(address)]
        await asyncio.sleep(0.05)
        server.close()
        other.close()
        return answers.count(b"ask")

    assert same_on_both(scenario) == 3 * 82


def test_who_waits_while_the_loop_is_busy_is_served_after_one_that_came_alone(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        for _ in range(4):
            await ask(address)
        # All of these have come before the loop looks again.
        clients = [socket.create_connection(address) for _ in range(30)]
        answers = []
        for client in clients:
            client.setblocking(False)
            await loop.sock_sendall(client, b"x")
            answers.append(await loop.sock_recv(client, 1))
            client.close()
        await asyncio.sleep(0.05)
        server.close()
        return answers

    assert same_on_both(scenario) == [b"x"] * 30


def test_what_a_program_puts_in_the_place_of_a_servers_methods_is_called(same_on_both, monkeypatch):
    async def scenario():
        told = []
        for name in ("_attach", "_detach"):
            own = getattr(asyncio.Server, name)

            def note(server, *args, name=name, own=own):
                told.append((name, len(args)))
                return own(server, *args)

            monkeypatch.setattr(asyncio.Server, name, note)
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
        await ask(server.sockets[0].getsockname())
        await asyncio.sleep(0.01)
        server.close()
        monkeypatch.undo()
        return told

    assert [name for name, _ in same_on_both(scenario)] == ["_attach", "_detach"]


def test_a_closed_server_waits_for_the_last_of_its_connections(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        streams = [await asyncio.open_connection(*address) for _ in range(2)]
        await asyncio.sleep(0.02)
        server.close()
        closed = loop.create_task(server.wait_closed())
        seen = []
        for _, writer in streams:
            await asyncio.sleep(0.02)
            seen.append(closed.done())
            writer.close()
        await asyncio.wait_for(closed, 5)
        await asyncio.sleep(0.05)
        return seen

    same_on_both(scenario)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
def test_a_server_knows_its_connections(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        streams = [await asyncio.open_connection(*address) for _ in range(3)]
        await asyncio.sleep(0.02)
        known = [len(server._clients), all(isinstance(one, asyncio.Transport) for one in server._clients)]
        streams[0][1].close()
        await asyncio.sleep(0.02)
        known.append(len(server._clients))
        for _, writer in streams[1:]:
            writer.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)
        return [*known, len(server._clients)]

    assert same_on_both(scenario) == [3, True, 2, 0]


def test_a_loop_knows_its_transports_by_their_descriptors(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            transport, protocol = await loop.create_connection(Echo, sock=ours)
            found = loop._transports[ours.fileno()] is transport
            refusals = []
            for attempt in (loop.add_reader, loop.add_writer):
                try:
                    attempt(ours, print)
                except RuntimeError as error:
                    refusals.append("is used by transport" in str(error))
            transport.close()
            await asyncio.sleep(0.01)
            del transport, protocol
            gc.collect()
            return found, refusals, [one for one in loop._transports.values() if not one.is_closing()]

    assert same_on_both(scenario) == (True, [True, True], [])


def test_a_descriptor_that_is_used_again_has_its_own_transport(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        numbers = set()
        for _ in range(5):
            ours, theirs = socket.socketpair()
            with theirs:
                ours.setblocking(False)
                transport, _ = await loop.create_connection(Echo, sock=ours)
                numbers.add(number := ours.fileno())
                assert loop._transports[number] is transport
                transport.abort()
                await asyncio.sleep(0.005)
        return len(numbers)

    assert same_on_both(scenario) == 1
