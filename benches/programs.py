"""Programs: what users run, with the libraries that they run it with.

Servers are kept busy by a native program; clients ask native servers, PostgreSQL and Redis. The figures are of the
process that the loop runs in.
"""

import asyncio
import base64
import contextlib
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import time

import network

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/ecosystem"))
KEEP = HERE.parent / "target/ecosystem"

prepare = network.prepare
CONNECTIONS = 50
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"


def served(start, transport="tcp", count=20_000, message=REQUEST, preamble=None):
    """A server on the loop; CPU per request, time per request, 99th percentile."""

    def run(loop, scale):
        async def main():
            async with start(loop, transport) as port:
                return await loop.run_in_executor(None, load, port)

        def load(port):
            total = max(CONNECTIONS * 10, int(count * scale))
            command = [network.NATIVE, "load", transport, port, CONNECTIONS, total, 0]
            with contextlib.ExitStack() as stack:
                for option, content in (("--message", message), ("--preamble", preamble)):
                    if content is not None:
                        file = stack.enter_context(tempfile.NamedTemporaryFile())
                        file.write(content)
                        file.flush()
                        command += [option, file.name]
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
                with subprocess.Popen([str(part) for part in command], text=True, **pipes) as client:
                    client.stdout.readline()
                    before = time.process_time()
                    said, _ = client.communicate("go\n")
                    used = time.process_time() - before
            took, _, p99 = map(float, said.split())
            return used / total, took, p99

        return loop.run_until_complete(main())

    return run


@contextlib.asynccontextmanager
async def uvicorn_server(loop, transport):
    import uvicorn

    async def application(scope, receive, send):
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"Hello, world!"})

    secrets = {"ssl_certfile": network.CERTIFICATE, "ssl_keyfile": network.CERTIFICATE} if transport == "tls" else {}
    options = {"http": "httptools", "ws": "none", "lifespan": "off", "log_level": "critical", "access_log": False}
    server = uvicorn.Server(uvicorn.Config(application, port=0, loop="none", **options, **secrets))
    serving = loop.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    serving.cancel()


@contextlib.asynccontextmanager
async def aiohttp_server(loop, transport):
    from aiohttp import web

    async def hello(request):
        return web.Response(text="Hello, world!")

    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield site._server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def websockets_server(loop, transport):
    from websockets.asyncio.server import serve

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        yield server.sockets[0].getsockname()[1]


def websocket_frame(size):
    """A client's binary frame, masked with zeros."""
    return b"\x82" + bytes([0x80 | 126]) + size.to_bytes(2, "big") + bytes(4) + b"x" * size


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(b"0123456789abcdef") + b"\r\n\r\n"
)


def timed(setup, count):
    """A client on the loop: CPU and time per operation of what ``setup`` yields, a coroutine function."""

    def run(loop, scale):
        async def main():
            async with setup() as (operation, each):
                rounds = max(3, int(count * scale))
                await operation()
                cpu, started = time.process_time(), time.perf_counter()
                for _ in range(rounds):
                    await operation()
                cpu, took = time.process_time() - cpu, time.perf_counter() - started
                return cpu / rounds / each, took / rounds / each

        return loop.run_until_complete(main())

    return run


@contextlib.contextmanager
def native_server(answer):
    """A bare HTTP server in a process of its own."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(answer)
        file.flush()
        command = [network.NATIVE, "serve", "tcp", "--answer", file.name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, text=True, **pipes) as server:
            yield int(server.stdout.readline())
            server.communicate()


@contextlib.asynccontextmanager
async def aiohttp_client():
    import aiohttp

    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"
    with native_server(answer) as port:
        async with aiohttp.ClientSession() as session:

            async def get():
                async with session.get(f"http://127.0.0.1:{port}/") as response:
                    await response.read()

            async def twenty():
                await asyncio.gather(*(get() for _ in range(20)))

            yield twenty, 20


def postgres(query, check):
    @contextlib.asynccontextmanager
    async def setup():
        import asyncpg
        import servers

        with servers.postgres(KEEP) as url:
            connection = await asyncpg.connect(url)
            statement = await connection.prepare(query)

            async def ask():
                assert len(await statement.fetch()) == check

            yield ask, 1
            await connection.close()

    return setup


@contextlib.asynccontextmanager
async def redis_get_set():
    import redis.asyncio
    import servers

    with servers.redis(KEEP) as (url, _):
        client = redis.asyncio.from_url(url)

        async def get_and_set():
            await client.set("key", b"value")
            await client.get("key")

        yield get_and_set, 2
        await client.aclose()


@contextlib.asynccontextmanager
async def redis_pipeline():
    import redis.asyncio
    import servers

    with servers.redis(KEEP) as (url, _):
        client = redis.asyncio.from_url(url)

        async def pipeline():
            async with client.pipeline(transaction=False) as commands:
                for number in range(100):
                    commands.set(f"key {number}", number)
                await commands.execute()

        yield pipeline, 100
        await client.aclose()


@contextlib.asynccontextmanager
async def spawn():
    async def run_true():
        process = await asyncio.create_subprocess_exec("/bin/true")
        assert await process.wait() == 0

    yield run_true, 1


@contextlib.asynccontextmanager
async def getaddrinfo():
    loop = asyncio.get_running_loop()

    async def look_up():
        await loop.getaddrinfo("127.0.0.1", 80)

    yield look_up, 1


@contextlib.asynccontextmanager
async def https_client():
    """Streams over TLS, as a client sees them: connect, ask, close."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    command = [network.NATIVE, "serve", "tls", network.CERTIFICATE]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as server:
        port = int(server.stdout.readline())

        async def connect():
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(b"x" * 100)
            await reader.readexactly(100)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

        yield connect, 1
        server.communicate()


def idle(loop, scale):
    """CPU and wake-ups per second of a server with 1,000 connections that say nothing."""

    def switches():
        status = pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    async def main():
        port = await network.ECHO(loop, "tcp", 0)
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(500)]
        await asyncio.sleep(0.2)
        seconds = max(1, 5 * scale)
        cpu, before = time.process_time(), switches()
        await asyncio.sleep(seconds)
        outcome = (time.process_time() - cpu) / seconds, (switches() - before - 1) / seconds
        del connections
        return outcome

    return loop.run_until_complete(main())


CASES = {
    "uvicorn": served(uvicorn_server),
    "uvicorn TLS": served(uvicorn_server, "tls"),
    "aiohttp server": served(aiohttp_server),
    "websockets echo 1 KiB": served(websockets_server, message=websocket_frame(1024), preamble=UPGRADE),
    "aiohttp client x20": timed(aiohttp_client, 300),
    "asyncpg select 1": timed(postgres("select 1", 1), 5000),
    "asyncpg 1,000 rows": timed(postgres("select * from generate_series(1, 1000)", 1000), 500),
    "redis GET and SET": timed(redis_get_set, 2000),
    "redis pipeline of 100": timed(redis_pipeline, 150),
    "TLS connect, ask, close": timed(https_client, 200),
    "subprocess": timed(spawn, 200),
    "getaddrinfo": timed(getaddrinfo, 3000),
    "idle, 1,000 ends": idle,
}
SERVED = (("CPU", 1e6, "us"), ("time", 1e6, "us"), ("p99", 1e6, "us"))
TIMED = (("CPU", 1e6, "us"), ("time", 1e6, "us"))
METRICS = {
    **dict.fromkeys(CASES, TIMED),
    **dict.fromkeys(list(CASES)[:4], SERVED),
    "idle, 1,000 ends": (("CPU", 1e3, "ms/s"), ("wake-ups", 1, "1/s")),
}
