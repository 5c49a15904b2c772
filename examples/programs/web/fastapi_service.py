"""A FastAPI service on uvicorn, asked by httpx: routes, streaming, WebSockets, background tasks, TLS, shutdown.

Usage: ``python -m ourio examples/programs/web/fastapi_service.py``
"""

import asyncio
import contextlib
import pathlib
import socket
import ssl
import sys
import tempfile

import httpx
import trustme
import uvicorn
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from websockets.asyncio.client import connect

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

events = []


@contextlib.asynccontextmanager
async def lifespan(app):
    events.append("started")
    yield
    events.append("stopped")


app = FastAPI(lifespan=lifespan)


class Item(BaseModel):
    name: str
    price: float


async def session():
    yield "session"
    events.append("session closed")


@app.get("/items/{number}")
async def item(number: int, used: str = Depends(session)):
    if number > 1000:
        raise HTTPException(404, "no such item")
    await asyncio.sleep(0)
    return {"number": number, "session": used}


@app.post("/items")
async def add(item: Item, background: BackgroundTasks):
    background.add_task(events.append, item.name)
    return item


@app.get("/thread")
def thread():
    return "from a thread"


@app.get("/stream")
async def stream():
    async def chunks():
        for n in range(100):
            yield f"{n}\n" * 100
            await asyncio.sleep(0)

    return StreamingResponse(chunks(), media_type="text/plain")


@app.get("/fails")
async def fails():
    raise RuntimeError("an error of the program's own")


@app.websocket("/ws")
async def websocket(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text[::-1])


@contextlib.asynccontextmanager
async def served(**options):
    """uvicorn on a free port, in this loop."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", **options)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def ask(client):
    equal((await client.get("/items/7")).json(), {"number": 7, "session": "session"}, "a route")
    equal((await client.get("/items/x")).status_code, 422, "a wrong path")
    equal((await client.get("/items/2000")).status_code, 404, "no such item")
    equal((await client.post("/items", json={"name": "a", "price": 1})).json()["price"], 1.0, "a body")
    equal((await client.post("/items", json={"name": "a"})).status_code, 422, "a wrong body")
    equal((await client.get("/thread")).json(), "from a thread", "a route in a thread")
    # uvicorn closes the connection after it, which must not be the next request's.
    failed = await client.get("/fails", headers={"Connection": "close"})
    equal(failed.status_code, 500, "a route that fails")
    async with client.stream("GET", "/stream") as streamed:
        text = "".join([part async for part in streamed.aiter_text()])
    equal(text, "".join(f"{n}\n" * 100 for n in range(100)), "a streamed body")
    answers = await asyncio.gather(*(client.get(f"/items/{n}") for n in range(300)))
    equal([answer.json()["number"] for answer in answers], list(range(300)), "300 at once")
    check("a" in events, "the background task has run")
    check("session closed" in events, "the dependency was closed")


async def main():
    async with served() as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            await ask(client)
        async with connect(f"ws://127.0.0.1:{port}/ws") as chat:
            for n in range(50):
                await chat.send(f"abc{n}")
                equal(await chat.recv(), f"abc{n}"[::-1], "a WebSocket answers")
        # A client that goes away in the middle of a response.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        check((await reader.readline()).startswith(b"HTTP/1.1 200"), "a raw request")
        writer.transport.abort()
    equal(events[0 :: max(1, len(events) - 1)], ["started", "stopped"], "the lifespan")
    await raises(httpx.ConnectError, httpx.AsyncClient().get(f"http://127.0.0.1:{port}/"), "closed")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as chain:
        key.write(certificate.private_key_pem.bytes())
        chain.write(b"".join(part.bytes() for part in certificate.cert_chain_pems))
        key.flush(), chain.flush()
        async with served(ssl_keyfile=key.name, ssl_certfile=chain.name) as port:
            trusting = ssl.create_default_context()
            authority.configure_trust(trusting)
            async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=trusting, timeout=60) as client:
                await ask(client)
            async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}") as distrusting:
                await raises(httpx.ConnectError, distrusting.get("/"), "an unknown authority")
    await report()


asyncio.run(main())
