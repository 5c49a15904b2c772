"""A WebSocket chat server and its clients: broadcast, order, compression, pings, close codes, disconnects.

Usage: ``python -m ourio examples/programs/web/websockets_chat.py``
"""

import asyncio
import pathlib
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

CLIENTS = 40


class Room:
    def __init__(self):
        self.members = set()

    async def join(self, socket):
        if socket.request.path == "/broken":
            raise RuntimeError("a handler that fails")
        self.members.add(socket)
        try:
            async for message in socket:
                if message == "bye":
                    await socket.close(4001, "as you wish")
                    return
                broadcast(self.members, message)
        finally:
            self.members.discard(socket)


async def main():
    room = Room()
    async with serve(room.join, "127.0.0.1", 0, max_size=8 * 2**20) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}/"
        clients = await asyncio.gather(*(connect(url, max_size=8 * 2**20) for _ in range(CLIENTS)))
        while len(room.members) < CLIENTS:
            await asyncio.sleep(0.01)
        for n in range(20):
            await clients[n % CLIENTS].send(f"message {n}")
            heard = await asyncio.gather(*(client.recv() for client in clients))
            equal(set(heard), {f"message {n}"}, "everybody hears it")
        big = bytes(range(256)) * 16384
        await clients[0].send(big)
        equal(await clients[1].recv(), big, "4 MiB, compressed")
        equal(await clients[0].recv(), big, "4 MiB, also for the sender")
        waiter = await clients[2].ping()
        check(await asyncio.wait_for(waiter, 30) >= 0, "a ping is answered")
        await clients[3].send("bye")
        # What was broadcast before is still in its queue.
        closed = await raises(ConnectionClosedError, drain(clients[3]), "closed by the server")
        equal((closed.rcvd.code, closed.rcvd.reason), (4001, "as you wish"), "code and reason")
        clients[4].transport.abort()
        while len(room.members) > CLIENTS - 2:
            await asyncio.sleep(0.01)
        await clients[5].close()
        await raises(ConnectionClosedOK, drain(clients[5]), "closed by the client")
        async with connect(f"{url}broken") as broken:
            error = await raises(ConnectionClosedError, broken.recv(), "a handler that fails")
            equal(error.rcvd.code, 1011, "its code")
    for client in clients[6:]:
        await client.wait_closed()
    equal(len(room.members), 0, "nobody is left when the server has closed")
    await raises(OSError, connect(url).__aenter__(), "a closed server refuses")
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        await raises(InvalidStatus, connect(f"ws://127.0.0.1:{port}/").__aenter__(), "no WebSocket server")
    await report()


async def drain(socket):
    while True:
        await socket.recv()


async def refuse(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


asyncio.run(main())
