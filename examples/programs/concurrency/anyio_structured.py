"""anyio on asyncio: task groups, cancel scopes, streams, TLS, processes, threads and signals.

Usage: ``python -m ourio examples/programs/concurrency/anyio_structured.py``
"""

import asyncio
import os
import pathlib
import signal
import ssl
import sys
import time

import anyio
import trustme
from anyio import from_thread, to_thread
from anyio.streams.tls import TLSListener, TLSStream

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

BLOB = os.urandom(1_000_000)


async def groups():
    seen = []

    async def work(number, *, task_status=anyio.TASK_STATUS_IGNORED):
        task_status.started(number)
        try:
            await anyio.sleep(0.01 if number < 5 else 60)
        finally:
            seen.append(number)

    async with anyio.create_task_group() as group:
        equal([await group.start(work, n) for n in range(10)], list(range(10)), "started in order")
        await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    equal(sorted(seen), list(range(10)), "all ended, some by cancelling")

    async def fails():
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 60)
            raise ValueError("one")

    error = await raises(ExceptionGroup, fails(), "a group that fails")
    equal([str(one) for one in error.exceptions], ["one"], "with its error")
    with anyio.move_on_after(0.02) as scope:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.05)
        await anyio.sleep(60)
    check(scope.cancelled_caught, "a shield holds, and what follows is cancelled")


async def streams():
    async def echo(stream):
        async with stream:
            async for data in stream:
                await stream.send(data)

    async def exchange(stream):
        async with stream:
            async with anyio.create_task_group() as group:
                group.start_soon(stream.send, BLOB)
                received = b""
                while len(received) < len(BLOB):
                    received += await stream.receive()
        return received == BLOB

    authority = trustme.CA()
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(serving)
    authority.configure_trust(trusting)
    # Not over Unix sockets: anyio's own streams set a future twice there if the loop is late, on stock asyncio too.
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    beneath = await anyio.create_tcp_listener(local_host="127.0.0.1")
    secure = TLSListener(beneath, serving, standard_compatible=False)
    async with anyio.create_task_group() as group:
        for listener in (plain, secure):
            group.start_soon(listener.serve, echo)
        port = plain.extra(anyio.abc.SocketAttribute.local_port)
        check(await exchange(await anyio.connect_tcp("127.0.0.1", port)), "TCP")
        port = beneath.extra(anyio.abc.SocketAttribute.local_port)
        raw = await anyio.connect_tcp("127.0.0.1", port)
        stream = await TLSStream.wrap(raw, hostname="localhost", ssl_context=trusting, standard_compatible=False)
        check(await exchange(stream), "TLS")
        group.cancel_scope.cancel()
    for listener in (plain, secure):
        await listener.aclose()

    async with (
        await anyio.create_udp_socket(local_host="127.0.0.1") as one,
        await anyio.create_udp_socket(local_host="127.0.0.1") as other,
    ):
        for n in range(50):
            await one.sendto(b"%d" % n, "127.0.0.1", other.extra(anyio.abc.SocketAttribute.local_port))
        equal([(await other.receive())[0] for _ in range(50)], [b"%d" % n for n in range(50)], "datagrams")
    send, receive = anyio.create_memory_object_stream(0)
    async with anyio.create_task_group() as group, send, receive:
        for n in range(20):
            group.start_soon(send.send, n)
        equal([await receive.receive() for _ in range(20)], list(range(20)), "an object stream")


async def threads_and_processes():
    began = time.monotonic()
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(to_thread.run_sync, time.sleep, 0.2)
    check(time.monotonic() - began < 1.2, "threads at the same time")
    loop = asyncio.get_running_loop()
    back = await to_thread.run_sync(lambda: from_thread.run_sync(lambda: asyncio.get_running_loop() is loop))
    check(back, "from a thread back to the loop")
    done = await anyio.run_process([sys.executable, "-c", "print(input()[::-1])"], input=b"abc\n")
    equal(done.stdout, b"cba\n", "a process")
    with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
        os.kill(os.getpid(), signal.SIGUSR1)
        equal(await anext(signals), signal.SIGUSR1, "a signal")

    def portal():
        with from_thread.start_blocking_portal() as portal:
            return portal.call(anyio.to_thread.run_sync, os.getpid)

    equal(await to_thread.run_sync(portal), os.getpid(), "a loop of its own in a thread")
    async with await anyio.open_file(__file__) as file:
        check((await file.read()).startswith('"""anyio'), "a file")


async def main():
    await groups()
    await streams()
    await threads_and_processes()
    await report()


asyncio.run(main())
