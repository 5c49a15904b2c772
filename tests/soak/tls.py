"""A thousand TLS handshakes, and a gibibyte each way with checksums, on stock asyncio and on Ourio.

Usage: ``tls.py [--handshakes N] [--mebibytes N]``
"""

import argparse
import asyncio
import hashlib
import os
import ssl
import time

import ourio
import trustme

AT_ONCE = 50
CONNECTIONS = 4
CHUNK = 256 * 1024


def contexts():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def echo(reader, writer):
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.close()


async def handshakes(address, context, count):
    gate = asyncio.Semaphore(AT_ONCE)

    async def one():
        async with gate:
            reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="localhost")
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()
            await writer.wait_closed()

    await asyncio.gather(*(one() for _ in range(count)))


async def bulk(address, context, size):
    block = os.urandom(CHUNK)

    async def one(size):
        reader, writer = await asyncio.open_connection(
            *address, ssl=context, server_hostname="localhost", limit=2 * CHUNK
        )
        sent, heard = hashlib.blake2b(), hashlib.blake2b()

        async def send():
            for n in range(size // CHUNK):
                data = n.to_bytes(8) + block[8:]
                sent.update(data)
                writer.write(data)
                await writer.drain()

        async def hear():
            left = size
            while left:
                data = await reader.read(CHUNK)
                assert data, "cut off"
                heard.update(data)
                left -= len(data)

        await asyncio.gather(send(), hear())
        assert sent.digest() == heard.digest(), "the bytes that came back are others"
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one(size // CONNECTIONS) for _ in range(CONNECTIONS)))


async def soak(count, mebibytes):
    server_context, client_context = contexts()
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_context, backlog=1000)
    address = server.sockets[0].getsockname()
    before = len(os.listdir("/proc/self/fd"))
    started = time.process_time()
    await handshakes(address, client_context, count)
    between = time.process_time()
    await bulk(address, client_context, mebibytes * 2**20)
    ended = time.process_time()
    await asyncio.sleep(0.1)
    left = len(os.listdir("/proc/self/fd")) - before
    assert left == 0, f"{left} descriptors are left"
    server.close()
    return (between - started) / count * 1e6, (ended - between) / mebibytes / 2 * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--handshakes", type=int, default=1000)
    parser.add_argument("--mebibytes", type=int, default=1024, help="each way")
    options = parser.parse_args()
    print(f"{options.handshakes} handshakes, {options.mebibytes} MiB each way; both sides in one process")
    for name, factory in (("asyncio", asyncio.SelectorEventLoop), ("ourio", ourio.new_event_loop)):
        with asyncio.Runner(loop_factory=factory) as runner:
            handshake, data = runner.run(soak(options.handshakes, options.mebibytes))
        print(f"{name:8} {handshake:7.0f} us CPU per handshake, {data:6.2f} ms CPU per MiB: ok", flush=True)


if __name__ == "__main__":
    main()
