"""Network: an echo server of each kind on the loop, and a native program that keeps it busy.

Each case gives the server's CPU per message, the time per message, and the time within which 99 of 100 were
answered. ``epoll`` is a bare epoll server (with OpenSSL for TLS) without Python: the limit, where there is one.
"""

import asyncio
import contextlib
import functools
import pathlib
import re
import socket
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import trustme

HERE = pathlib.Path(__file__).resolve().parent
KIB = 1024
NATIVE = HERE.parent / "target/release/ourio-bench-native"
CERTIFICATE = HERE.parent / "target/tmp/bench-certificate.pem"


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


class DatagramEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


def prepare():
    """Make the certificate that all servers show."""
    issued = trustme.CA().issue_cert("localhost")
    pem = issued.private_key_pem.bytes() + b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    CERTIFICATE.parent.mkdir(parents=True, exist_ok=True)
    CERTIFICATE.write_bytes(pem)


def secrets():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def protocol(factory):
    async def start(loop, transport, size):
        if transport == "unix":
            path = tempfile.mktemp(prefix="ourio-bench-")  # the name of a socket, not of a file
            await loop.create_unix_server(factory, path, backlog=2000)
            return path
        tls = secrets() if transport == "tls" else None
        server = await loop.create_server(factory, "127.0.0.1", 0, backlog=2000, ssl=tls)
        return server.sockets[0].getsockname()[1]

    return start


def streams(read):
    async def start(loop, transport, size):
        async def echo(reader, writer):
            try:
                while data := await read(reader, size):
                    writer.write(data)
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            writer.close()

        tls = secrets() if transport == "tls" else None
        server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=2000, limit=1 << 20, ssl=tls)
        return server.sockets[0].getsockname()[1]

    return start


async def datagrams(loop, transport, size):
    endpoint, _ = await loop.create_datagram_endpoint(DatagramEcho, local_addr=("127.0.0.1", 0))
    return endpoint.get_extra_info("sockname")[1]


async def sock_calls(loop, transport, size):
    listener = socket.create_server(("127.0.0.1", 0), backlog=2000)
    listener.setblocking(False)
    tasks = set()

    async def echo(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock, contextlib.suppress(ConnectionError):
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


async def read_some(reader, size):
    return await reader.read(256 * 1024)


async def read_exactly(reader, size):
    return await reader.readexactly(size)


async def read_line(reader, size):
    return await reader.readline()


def in_words(size):
    """A number of bytes as the names of cases have it."""
    return f"{size // KIB} KiB" if size >= KIB else f"{size} B"


def as_python():
    """How to start a program with this interpreter's own loader and libraries: the limit's OpenSSL is then the same."""
    mapped = pathlib.Path("/proc/self/maps").read_text()
    loader = re.search(r"/\S*/ld-linux\S*", mapped)
    folders = dict.fromkeys(re.findall(r"(/\S*)/lib(?:ssl|crypto|c)\.so\S*", mapped))
    return [loader[0], "--library-path", ":".join(folders)] if loader else []


@dataclass(frozen=True)
class Case:
    start: Any
    transport: str
    connections: int
    size: int
    messages: int
    # Messages per connection, at least.
    each: int = 10
    # Further options of the load.
    options: tuple[str, ...] = ()

    @property
    def has_limit(self):
        return self.transport != "unix" and self.start in (ECHO, datagrams)

    def ask(self, address, cpu, count, *options):
        """Run the client: CPU seconds of the server, and what the client says, all in seconds."""
        command = [NATIVE, "load", self.transport, address, self.connections, count, self.size, *self.options, *options]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([str(part) for part in command], text=True, **pipes) as client:
            # The handshakes are over then.
            client.stdout.readline()
            before = cpu()
            said, _ = client.communicate("go\n")
            used = cpu() - before
        return used, *map(float, said.split())

    def saturated(self, scale, address, cpu):
        """CPU seconds of the server per message, seconds per message, 99th percentile."""
        count = max(self.connections * self.each, int(self.messages * scale))
        used, time, _, p99 = self.ask(address, cpu, count)
        return used / count, time, p99

    def paced(self, rate, scale, address, cpu):
        """Median and 99th percentile, with so many messages a second."""
        _, _, p50, p99 = self.ask(address, cpu, max(1000, int(rate * scale)), "--rate", rate)
        return p50, p99

    def on(self, loop, load):
        """The figures of a loop under a load."""

        async def main():
            address = await self.start(loop, self.transport, self.size)
            # A thread that only waits: the loop is free to serve.
            return await loop.run_in_executor(None, load, address, time.process_time)

        return loop.run_until_complete(main())

    def limit(self, load):
        """The figures of the bare server."""
        command = [NATIVE, "serve", self.transport, *([CERTIFICATE] if self.transport == "tls" else [])]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([*as_python(), *command], text=True, **pipes) as server:
            account = pathlib.Path(f"/proc/{server.pid}/schedstat")
            figures = load(int(server.stdout.readline()), lambda: int(account.read_text().split()[0]) / 1e9)
            server.communicate()
        return figures


ECHO = protocol(Echo)
STREAMS_READ = streams(read_some)


def run(case, loop, scale):
    load = functools.partial(case.saturated, scale)
    return case.limit(load) if loop is None else case.on(loop, load)


ALL = {
    "protocol 1 KiB x1": Case(ECHO, "tcp", 1, KIB, 50_000),
    "protocol 1 KiB x10": Case(ECHO, "tcp", 10, KIB, 200_000),
    "protocol 1 KiB x100": Case(ECHO, "tcp", 100, KIB, 200_000),
    "protocol 1 KiB x1000": Case(ECHO, "tcp", 1000, KIB, 200_000),
    "protocol 64 B x100": Case(ECHO, "tcp", 100, 64, 200_000),
    "protocol 16 KiB x100": Case(ECHO, "tcp", 100, 16 * KIB, 50_000),
    "protocol 256 KiB x10": Case(ECHO, "tcp", 10, 256 * KIB, 5_000),
    "buffered 1 KiB x100": Case(protocol(BufferedEcho), "tcp", 100, KIB, 200_000),
    "unix 1 KiB x100": Case(ECHO, "unix", 100, KIB, 200_000),
    "udp 1 KiB x100": Case(datagrams, "udp", 100, KIB, 100_000),
    "streams read 1 KiB x100": Case(STREAMS_READ, "tcp", 100, KIB, 100_000),
    "streams readline 1 KiB x100": Case(streams(read_line), "tcp", 100, KIB, 100_000),
    "streams readexactly 1 KiB x100": Case(streams(read_exactly), "tcp", 100, KIB, 100_000),
    "sock_* 1 KiB x100": Case(sock_calls, "tcp", 100, KIB, 100_000),
    "tls protocol 1 KiB x100": Case(ECHO, "tls", 100, KIB, 100_000),
    "tls protocol 16 KiB x100": Case(ECHO, "tls", 100, 16 * KIB, 30_000),
    "connect, ask, close x10": Case(ECHO, "tcp", 10, KIB, 20_000, options=("--fresh",)),
    "tls connect, ask, close x10": Case(ECHO, "tls", 10, KIB, 2_000, options=("--fresh",)),
    "tls streams 1 KiB x100": Case(STREAMS_READ, "tls", 100, KIB, 100_000),
}
CASES = {name: functools.partial(run, case) for name, case in ALL.items()}
LIMITS = {name for name, case in ALL.items() if case.has_limit}
METRICS = dict.fromkeys(CASES, (("CPU", 1e6, "us"), ("time", 1e6, "us"), ("p99", 1e6, "us")))
