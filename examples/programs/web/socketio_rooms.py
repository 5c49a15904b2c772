"""Socket.IO: a server over aiohttp and its clients, with rooms, acknowledgements, namespaces, background tasks.

Usage: ``python -m ourio examples/programs/web/socketio_rooms.py``
"""

import asyncio
import pathlib
import sys

import socketio
from aiohttp import web

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

server = socketio.AsyncServer(async_mode="aiohttp")


@server.event
async def connect(sid, environ, auth):
    if auth == "wrong":
        raise socketio.exceptions.ConnectionRefusedError("not today")


@server.event
async def join(sid, room):
    await server.enter_room(sid, room)
    return room


@server.event
async def say(sid, room, text):
    await server.emit("said", text, room=room)


@server.on("count", namespace="/numbers")
async def count(sid, end):
    async def work():
        for number in range(end):
            await server.emit("number", number, to=sid, namespace="/numbers")
            await server.sleep(0)

    server.start_background_task(work)


async def client_of(url, heard, **options):
    client = socketio.AsyncClient(reconnection=False)
    client.on("said", heard.append)
    await client.connect(url, **options)
    return client


async def until(holds):
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def main():
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    heard = [[] for _ in range(12)]
    clients = [
        await client_of(url, mine, transports=["websocket"] if number % 2 else ["polling", "websocket"])
        for number, mine in enumerate(heard)
    ]
    rooms = await asyncio.gather(*(client.call("join", f"room {n % 3}") for n, client in enumerate(clients)))
    equal(rooms, [f"room {n % 3}" for n in range(12)], "acknowledged")
    for number in range(20):
        await clients[1].emit("say", ("room 1", f"{number}"))
    members = heard[1::3]
    await until(lambda: all(len(mine) == 20 for mine in members))
    check(
        all(mine == [str(n) for n in range(20)] for mine in members),
        "in order, whether it began with a WebSocket or with polling",
    )
    check(not heard[0] and not heard[2], "nobody else has heard it")

    numbers = []
    counting = socketio.AsyncClient(reconnection=False)
    counting.on("number", numbers.append, namespace="/numbers")
    await counting.connect(url, namespaces=["/numbers"])
    await counting.emit("count", 100, namespace="/numbers")
    await until(lambda: len(numbers) == 100)
    equal(numbers, list(range(100)), "a namespace and a background task")

    refused = client_of(url, [], auth="wrong")
    await raises(socketio.exceptions.ConnectionError, refused, "a connection that is refused")
    await asyncio.gather(*(client.disconnect() for client in [*clients, counting]))
    await server.shutdown()
    await runner.cleanup()
    await report()


asyncio.run(main())
