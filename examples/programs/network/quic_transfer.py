"""QUIC over UDP: many streams at once, large transfers, a handshake that fails, a peer that is not there.

Usage: ``python -m ourio examples/programs/network/quic_transfer.py``
"""

import asyncio
import os
import pathlib
import ssl
import sys

import trustme
from aioquic.asyncio import connect, serve
from aioquic.quic.configuration import QuicConfiguration

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402


def echo(reader, writer):
    async def answer():
        while data := await reader.read(65536):
            writer.write(data)
        writer.write_eof()

    tasks.add(task := asyncio.create_task(answer()))
    task.add_done_callback(tasks.discard)


tasks = set()


async def exchange(client, message):
    reader, writer = await client.create_stream()
    writer.write(message)
    writer.write_eof()
    return await reader.read()


async def main():
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    serving = QuicConfiguration(is_client=False, alpn_protocols=["echo"])
    with issued.private_key_and_cert_chain_pem.tempfile() as pem:
        serving.load_cert_chain(pem, pem)
    trusting = QuicConfiguration(is_client=True, alpn_protocols=["echo"], server_name="localhost")
    trusting.load_verify_locations(cadata=authority.cert_pem.bytes())
    server = await serve("127.0.0.1", 0, configuration=serving, stream_handler=echo)
    port = server._transport.get_extra_info("sockname")[1]

    async with connect("127.0.0.1", port, configuration=trusting) as client:
        equal(await exchange(client, b"hello"), b"hello", "a stream")
        messages = [os.urandom(2000) for _ in range(50)]
        answers = await asyncio.gather(*(exchange(client, message) for message in messages))
        equal(answers, messages, "50 streams at once")
        blob = os.urandom(700_000)
        check(await exchange(client, blob) == blob, "more than a window")
        await client.ping()
        check(True, "a ping")

    async with connect("127.0.0.1", port, configuration=trusting) as first:
        async with connect("127.0.0.1", port, configuration=trusting) as second:
            both = await asyncio.gather(exchange(first, b"1" * 10_000), exchange(second, b"2" * 10_000))
            equal(both, [b"1" * 10_000, b"2" * 10_000], "two connections")
        equal(await exchange(first, b"goes on"), b"goes on", "one outlives the other")

    async def enter(where, configuration):
        async with connect("127.0.0.1", where, configuration=configuration):
            pass

    distrusting = QuicConfiguration(is_client=True, alpn_protocols=["echo"], verify_mode=ssl.CERT_REQUIRED)
    await raises(ConnectionError, enter(port, distrusting), "an authority that nobody trusts")
    server.close()
    await report()


asyncio.run(main())
