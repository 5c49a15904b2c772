"""HTTP/2 over TLS: Quart served by Hypercorn, asked by httpx; multiplexed requests, streams, WebSockets, shutdown.

Usage: ``python -m ourio examples/programs/web/hypercorn_http2.py``
"""

import asyncio
import contextlib
import pathlib
import socket
import ssl
import sys
import tempfile

import httpx
import quart
import trustme
from hypercorn.asyncio import serve
from hypercorn.config import Config

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

app = quart.Quart(__name__)


@app.get("/hello/<int:number>")
async def hello(number):
    await asyncio.sleep(0.01)
    return {"number": number, "version": quart.request.http_version}


@app.post("/length")
async def length():
    return str(len(await quart.request.get_data()))


@app.get("/stream")
async def stream():
    async def pieces():
        for number in range(200):
            yield f"{number}\n".encode() * 100
            await asyncio.sleep(0)

    return pieces(), 200


@app.get("/broken")
async def broken():
    raise ValueError("a handler that fails")


@contextlib.asynccontextmanager
async def running(folder):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    pem = folder / "server.pem"
    pem.write_bytes(issued.private_key_pem.bytes() + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = Config()
    # The server closes it.
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile = config.keyfile = str(pem)
    config.errorlog = config.accesslog = None
    config.graceful_timeout = 5
    ending = asyncio.Event()
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=ending.wait))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    yield f"https://localhost:{port}", trusting
    ending.set()
    await serving


async def main():
    app.logger.disabled = True
    with tempfile.TemporaryDirectory() as folder:
        async with running(pathlib.Path(folder)) as (base, trusting):
            async with httpx.AsyncClient(base_url=base, verify=trusting, http2=True, timeout=30) as client:
                answers = await asyncio.gather(*(client.get(f"/hello/{n}") for n in range(80)))
                found = [(answer.json()["number"], answer.json()["version"]) for answer in answers]
                equal(found, [(n, "2") for n in range(80)], "80 requests over one connection")
                equal((await client.post("/length", content=b"x" * 900_000)).text, "900000", "an upload")
                async with client.stream("GET", "/stream") as answer:
                    lines = [line async for line in answer.aiter_lines()]
                equal((len(lines), lines[-1]), (20_000, "199"), "a stream")
                async with client.stream("GET", "/stream") as answer:
                    async for _ in answer.aiter_bytes():
                        break
                equal((await client.get("/hello/1")).status_code, 200, "after a stream that was given up")
                equal((await client.get("/broken")).status_code, 500, "a handler that fails")
            async with httpx.AsyncClient(base_url=base, verify=trusting) as client:
                equal((await client.get("/hello/2")).json()["version"], "1.1", "HTTP/1.1 beside it")
            async with httpx.AsyncClient(base_url=base) as client:
                await raises(httpx.ConnectError, client.get("/hello/3"), "an authority that nobody trusts")
        check(True, "the server ends when it is told to")
    await report()


asyncio.run(main())
