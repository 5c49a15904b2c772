"""Network: a server of each kind on the loop, and a native program that keeps it busy.

Each case gives the server's CPU per message, and the time per message. ``epoll`` is a bare epoll server without
Python: the limit.
"""

import asyncio
import os
import pathlib
import socket
import subprocess

NATIVE = pathlib.Path(__file__).resolve().parents[1] / "target/release/examples"
CLIENT = NATIVE / "echo_load"


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.buffer = bytearray(256 * 1024)

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        self.transport.write(self.buffer[:count])


async def protocol(loop, size):
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=2000)
    return server.sockets[0].getsockname()[1]


async def buffered(loop, size):
    server = await loop.create_server(BufferedEcho, "127.0.0.1", 0, backlog=2000)
    return server.sockets[0].getsockname()[1]


def streams(read):
    async def start(loop, size):
        async def echo(reader, writer):
            try:
                while data := await read(reader, size):
                    writer.write(data)
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=2000, limit=1 << 20)
        return server.sockets[0].getsockname()[1]

    return start


async def sock_calls(loop, size):
    listener = socket.create_server(("127.0.0.1", 0), backlog=2000)
    listener.setblocking(False)
    tasks = set()

    async def echo(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock:
            while data := await loop.sock_recv(sock, 256 * 1024):
                await loop.sock_sendall(sock, data)

    async def accept():
        while True:
            sock, _ = await loop.sock_accept(listener)
            task = loop.create_task(echo(sock))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    tasks.add(loop.create_task(accept()))
    return listener.getsockname()[1]


def case(start, connections, size, messages):
    def run(loop, scale):
        count = max(connections * 10, int(messages * scale))

        async def main():
            port = await start(loop, size)
            before = sum(os.times()[:2])
            command = [CLIENT, str(port), str(connections), str(count), str(size)]
            # A thread that only waits: the loop is free to serve.
            client = await loop.run_in_executor(
                None, lambda: subprocess.run(command, capture_output=True, check=True, text=True)
            )
            return (sum(os.times()[:2]) - before) / count, float(client.stdout.split()[0])

        return loop.run_until_complete(main())

    return run


async def read_some(reader, size):
    return await reader.read(256 * 1024)


async def read_exactly(reader, size):
    return await reader.readexactly(size)


CASES = {
    "protocol 1 KiB x10": case(protocol, 10, 1024, 200_000),
    "protocol 1 KiB x100": case(protocol, 100, 1024, 200_000),
    "protocol 1 KiB x1000": case(protocol, 1000, 1024, 200_000),
    "protocol 64 KiB x10": case(protocol, 10, 65536, 20_000),
    "buffered 1 KiB x100": case(buffered, 100, 1024, 200_000),
    "streams read 1 KiB x100": case(streams(read_some), 100, 1024, 100_000),
    "streams readexactly 1 KiB x100": case(streams(read_exactly), 100, 1024, 100_000),
    "sock_* 1 KiB x100": case(sock_calls, 100, 1024, 100_000),
}
METRICS = dict.fromkeys(CASES, (("CPU", 1e6, "us"), ("time", 1e6, "us")))
