"""Real web servers on the loop: every response must be the one that its request asked for."""

import asyncio

import pytest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CLIENTS = 20
REQUESTS = 25


async def ask(address, client):
    """Sends numbered requests over one kept connection, and checks each answer."""
    reader, writer = await asyncio.open_connection(*address)
    for number in range(REQUESTS):
        name = f"{client}-{number}"
        writer.write(f"GET /echo/{name} HTTP/1.1\r\nhost: test\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
        assert await reader.readexactly(length) == name.encode()
    writer.close()
    await writer.wait_closed()


def test_uvicorn_answers_each_request_with_its_own_response(run):
    import uvicorn

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        body = scope["path"].rpartition("/")[2].encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def main():
        config = uvicorn.Config(app, port=0, http="httptools", ws="none", lifespan="off", log_level="warning")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.001)
        address = server.servers[0].sockets[0].getsockname()
        await asyncio.gather(*(ask(address, client) for client in range(CLIENTS)))
        server.should_exit = True
        await serving

    run(main())


def test_aiohttp_serves_and_fetches(run):
    import aiohttp
    from aiohttp import web

    async def echo(request):
        return web.Response(text=request.match_info["name"])

    async def main():
        app = web.Application()
        app.router.add_get("/echo/{name}", echo)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = site._server.sockets[0].getsockname()
        await asyncio.gather(*(ask((host, port), client) for client in range(CLIENTS)))
        async with aiohttp.ClientSession() as session:

            async def fetch(name):
                async with session.get(f"http://{host}:{port}/echo/{name}") as response:
                    assert await response.text() == str(name)

            await asyncio.gather(*(fetch(name) for name in range(200)))
        await runner.cleanup()

    run(main())
