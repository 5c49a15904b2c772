"""aiohttp on both sides: server and client, streams, WebSockets, cookies, TLS, timeouts, keep-alive, shutdown.

Usage: ``python -m ourio examples/programs/web/aiohttp_both.py``
"""

import asyncio
import os
import pathlib
import ssl
import sys

import aiohttp
import trustme
from aiohttp import web

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

BLOB = os.urandom(3_000_000)


async def hello(request):
    transport = request.transport
    check(isinstance(transport, asyncio.Transport), "a transport is asyncio's")
    check(transport.get_extra_info("peername")[0] == "127.0.0.1", "it knows its peer")
    response = web.json_response({"name": request.match_info["name"], "cookie": request.cookies.get("c")})
    response.set_cookie("c", "crumb")
    return response


async def upload(request):
    size = 0
    async for chunk in request.content.iter_chunked(65536):
        size += len(chunk)
    return web.Response(text=str(size))


async def download(request):
    response = web.StreamResponse(headers={"Content-Length": str(len(BLOB))})
    await response.prepare(request)
    for start in range(0, len(BLOB), 100_000):
        await response.write(BLOB[start : start + 100_000])
    return response


async def talk(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.data == "close":
            await socket.close(code=4000)
        else:
            await socket.send_str(message.data.upper())
    return socket


async def slow(request):
    await asyncio.sleep(30)


async def fails(request):
    raise RuntimeError("an error of the program's own")


def application():
    app = web.Application(client_max_size=10_000_000)
    app.router.add_get("/hello/{name}", hello)
    app.router.add_post("/upload", upload)
    app.router.add_get("/download", download)
    app.router.add_get("/talk", talk)
    app.router.add_get("/slow", slow)
    app.router.add_get("/fails", fails)
    app.router.add_static("/static", os.path.dirname(os.path.abspath(__file__)))
    return app


async def ask(session, base):
    async with session.get(f"{base}/hello/you") as answer:
        equal((await answer.json())["name"], "you", "a route")
    async with session.get(f"{base}/hello/again") as answer:
        equal((await answer.json())["cookie"], "crumb", "the cookie comes back")

    async def parts():
        for start in range(0, len(BLOB), 50_000):
            yield BLOB[start : start + 50_000]

    async with session.post(f"{base}/upload", data=parts()) as answer:
        equal(int(await answer.text()), len(BLOB), "a streamed upload")
    async with session.get(f"{base}/download") as answer:
        equal(await answer.read(), BLOB, "a streamed download")
    name = os.path.basename(__file__)
    async with session.get(f"{base}/static/{name}") as answer:
        with open(__file__, "rb") as file:
            equal(await answer.read(), file.read(), "a file")
    async with session.ws_connect(f"{base}/talk") as socket:
        for n in range(50):
            await socket.send_str(f"abc{n}")
            equal((await socket.receive()).data, f"ABC{n}", "a WebSocket answers")
        await socket.send_str("close")
        equal((await socket.receive()).type, aiohttp.WSMsgType.CLOSE, "it closes")
        equal(socket.close_code, 4000, "with its code")
    async with session.get(f"{base}/fails") as answer:
        equal(answer.status, 500, "a route that fails")
    quick = aiohttp.ClientTimeout(total=0.2)
    await raises(TimeoutError, session.get(f"{base}/slow", timeout=quick), "a timeout")

    async def one(n):
        async with session.get(f"{base}/hello/{n}") as answer:
            return (await answer.json())["name"]

    names = await asyncio.gather(*map(one, range(300)))
    equal(names, [str(n) for n in range(300)], "300 at once")


async def main():
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    runner = web.AppRunner(application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    plain = web.TCPSite(runner, "127.0.0.1", 0)
    tls = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_side)
    await plain.start()
    await tls.start()
    ports = [site._server.sockets[0].getsockname()[1] for site in (plain, tls)]
    jar = {"cookie_jar": aiohttp.CookieJar(unsafe=True)}
    async with aiohttp.ClientSession(**jar) as session:
        await ask(session, f"http://127.0.0.1:{ports[0]}")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_side, limit=20), **jar) as session:
        await ask(session, f"https://127.0.0.1:{ports[1]}")
    async with aiohttp.ClientSession() as session:
        distrusted = session.get(f"https://127.0.0.1:{ports[1]}/hello/x")
        await raises(aiohttp.ClientConnectorCertificateError, distrusted, "an unknown authority")
        await runner.cleanup()
        refused = session.get(f"http://127.0.0.1:{ports[0]}/hello/x")
        await raises(aiohttp.ClientConnectorError, refused, "a closed server refuses")
    await asyncio.sleep(0.1)
    await report()


asyncio.run(main())
