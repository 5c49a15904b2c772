"""A Sanic service in this loop, asked by httpx and by hand: routes, streaming, keep-alive, WebSockets, errors.

Usage: ``python -m ourio examples/programs/web/sanic_service.py``
"""

import asyncio
import pathlib
import socket
import sys

import httpx
from sanic import Sanic, text
from sanic.exceptions import NotFound
from sanic.response import json
from websockets.asyncio.client import connect

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

app = Sanic("demo", configure_logging=False)
app.config.ACCESS_LOG = False
events = []


@app.get("/items/<number:int>")
async def item(request, number):
    await asyncio.sleep(0)
    return json({"number": number, "query": request.args.get("q")})


@app.post("/upload", stream=True)
async def upload(request):
    size = 0
    while (part := await request.stream.read()) is not None:
        size += len(part)
    return text(str(size))


@app.get("/stream")
async def stream(request):
    response = await request.respond(content_type="text/plain")
    for n in range(100):
        await response.send(f"{n}\n")
    await response.eof()


@app.get("/missing")
async def missing(request):
    raise NotFound("not here")


@app.get("/fails")
async def fails(request):
    raise RuntimeError("an error of the program's own")


@app.websocket("/ws")
async def websocket(request, ws):
    async for message in ws:
        await ws.send(message.upper())


@app.after_server_start
async def started(app, loop):
    events.append("started")


@app.before_server_stop
async def stopped(app, loop):
    events.append("stopped")


async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = await app.create_server(sock=listener, return_asyncio_server=True)
    await server.startup()
    await server.before_start()
    await server.after_start()
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        equal((await client.get("/items/7?q=a")).json(), {"number": 7, "query": "a"}, "a route")
        blob = bytes(1_000_000)
        equal((await client.post("/upload", content=blob)).text, "1000000", "a streamed upload")
        equal((await client.get("/stream")).text, "".join(f"{n}\n" for n in range(100)), "a streamed body")
        equal((await client.get("/missing")).status_code, 404, "not found")
        equal((await client.get("/fails")).status_code, 500, "a route that fails")
        answers = await asyncio.gather(*(client.get(f"/items/{n}") for n in range(200)))
        equal([answer.json()["number"] for answer in answers], list(range(200)), "200 at once")
    async with connect(f"ws://127.0.0.1:{port}/ws") as chat:
        for n in range(20):
            await chat.send(f"abc{n}")
            equal(await chat.recv(), f"ABC{n}", "a WebSocket answers")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for n in range(3):
        writer.write(f"GET /items/{n} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    heads = [await reader.readuntil(b"\r\n\r\n") for _ in range(1)]
    check(heads[0].startswith(b"HTTP/1.1 200"), "a pipelined request")
    writer.transport.abort()
    await server.before_stop()
    server.close()
    await server.wait_closed()
    for connection in list(server.connections):
        connection.close()
    await server.after_stop()
    equal(events, ["started", "stopped"], "the listeners were called")
    await raises(httpx.ConnectError, httpx.AsyncClient().get(base), "a closed server refuses")
    await report()


asyncio.run(main())
