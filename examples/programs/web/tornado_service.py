"""Tornado over asyncio: requests, streamed answers, WebSockets, threads, periodic callbacks, its own TCP streams.

Usage: ``python -m ourio examples/programs/web/tornado_service.py``
"""

import asyncio
import os
import pathlib
import sys
import time

from tornado import (
    httpclient,
    httpserver,
    ioloop,
    iostream,
    locks,
    netutil,
    queues,
    tcpclient,
    tcpserver,
    web,
    websocket,
)

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

BLOB = os.urandom(1_000_000)


class Hello(web.RequestHandler):
    async def get(self, name):
        await asyncio.sleep(0)
        self.write({"hello": name})


class Stream(web.RequestHandler):
    async def get(self):
        for start in range(0, len(BLOB), 50_000):
            self.write(BLOB[start : start + 50_000])
            await self.flush()


class Upload(web.RequestHandler):
    async def post(self):
        self.write(str(len(self.request.body)))


class Slow(web.RequestHandler):
    async def get(self):
        # A thread does not keep the loop.
        await ioloop.IOLoop.current().run_in_executor(None, time.sleep, 0.3)
        self.write("slept")


class Chat(websocket.WebSocketHandler):
    async def on_message(self, message):
        await self.write_message(message[::-1], binary=isinstance(message, bytes))


class Lines(tcpserver.TCPServer):
    async def handle_stream(self, stream, address):
        try:
            while True:
                await stream.write((await stream.read_until(b"\n")).upper())
        except iostream.StreamClosedError:
            pass


async def requests(base):
    client = httpclient.AsyncHTTPClient(max_clients=50)
    answers = await asyncio.gather(*(client.fetch(f"{base}/hello/{n}") for n in range(100)))
    equal([answer.body for answer in answers], [b'{"hello": "%d"}' % n for n in range(100)], "100 requests at once")
    check((await client.fetch(f"{base}/stream")).body == BLOB, "a streamed answer")
    kind = {"Content-Type": "application/octet-stream"}
    answer = await client.fetch(f"{base}/upload", method="POST", body=BLOB, headers=kind)
    equal(answer.body, b"1000000", "an upload")
    began = time.monotonic()
    slept = await asyncio.gather(*(client.fetch(f"{base}/slow") for _ in range(4)))
    equal([answer.body for answer in slept], [b"slept"] * 4, "threads")
    check(time.monotonic() - began < 1.2, "at the same time")
    error = await raises(httpclient.HTTPClientError, client.fetch(f"{base}/nothing"), "no such page")
    equal(error.code, 404, "not found")
    late = client.fetch(f"{base}/slow", request_timeout=0.05)
    await raises(httpclient.HTTPClientError, late, "a timeout")


async def sockets(base):
    connection = await websocket.websocket_connect(f"{base.replace('http', 'ws')}/chat")
    for message in ("abc", b"\x00\x01", "x" * 200_000):
        await connection.write_message(message, binary=isinstance(message, bytes))
        equal(await connection.read_message(), message[::-1], "a message there and back")
    connection.close()
    equal(await connection.read_message(), None, "closed")


async def streams():
    server = Lines()
    (listener,) = netutil.bind_sockets(0, "127.0.0.1")
    server.add_socket(listener)
    stream = await tcpclient.TCPClient().connect("127.0.0.1", listener.getsockname()[1])
    for n in range(100):
        await stream.write(b"line %d\n" % n)
    equal([await stream.read_until(b"\n") for _ in range(100)], [b"LINE %d\n" % n for n in range(100)], "lines")
    stream.close()
    server.stop()


async def waiting():
    ticks, queue, event = [], queues.Queue(3), locks.Event()
    periodic = ioloop.PeriodicCallback(lambda: (ticks.append(1), len(ticks) == 3 and event.set()), 5)
    periodic.start()
    await event.wait()
    periodic.stop()
    check(len(ticks) >= 3, "ticks")

    async def produce():
        for n in range(20):
            await queue.put(n)

    producing = asyncio.create_task(produce())
    equal([await queue.get() for _ in range(20)], list(range(20)), "a bounded queue")
    await producing


async def main():
    routes = [("/hello/(.*)", Hello), ("/stream", Stream), ("/upload", Upload), ("/slow", Slow), ("/chat", Chat)]
    server = httpserver.HTTPServer(web.Application(routes, log_function=lambda handler: None))
    (listener,) = netutil.bind_sockets(0, "127.0.0.1")
    server.add_socket(listener)
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    await requests(base)
    await sockets(base)
    await streams()
    await waiting()
    server.stop()
    await server.close_all_connections()
    await report()


asyncio.run(main())
