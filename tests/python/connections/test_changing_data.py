"""Data that can change after it was written: it is sent as it was."""

import asyncio
import gc
import random
import socket

import ourio
import pytest


@pytest.fixture(autouse=True)
def collected():
    """The classes in the tests are garbage with their loops, whose wake-up descriptor ends when they are collected."""
    yield
    gc.collect()


@pytest.mark.parametrize("size", [1, 8 * 1024, 100_000, 8_000_000])
@pytest.mark.parametrize("kind", [bytearray, lambda data: memoryview(bytearray(data)), type("Bytes", (bytes,), {})])
def test_data_that_can_change_is_sent_as_it_was_when_it_was_written(size, kind):
    original = random.Random(size).randbytes(size)

    async def main():
        loop = asyncio.get_running_loop()
        received, ended = bytearray(), loop.create_future()

        class Collect(asyncio.Protocol):
            def data_received(self, data):
                received.extend(data)

            def connection_lost(self, error):
                ended.set_result(error)

        class Change(asyncio.Protocol):
            """Changes what was written in the callback that writing calls."""

            def pause_writing(self):
                change()

        def change():
            if not isinstance(data, bytes):
                data[:] = bytes(size)

        data = kind(original)
        server = await loop.create_server(Collect, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(Change, *server.sockets[0].getsockname())
        transport.write(data)
        change()
        if isinstance(data, bytearray):
            # Nobody looks at it any more.
            data.clear()
        transport.write(b"!")
        transport.close()
        error = await asyncio.wait_for(ended, 20)
        await asyncio.sleep(0.01)
        server.close()
        return error, bytes(received)

    error, received = ourio.run(main())
    assert error is None
    assert received == original + b"!"


def test_what_the_kernel_refuses_of_data_that_can_change_ends_the_connection(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        lost = loop.create_future()

        class Told(asyncio.Protocol):
            def connection_lost(self, error):
                lost.set_result(type(error))

        transport, _ = await loop.create_connection(Told, sock=ours)
        transport.pause_reading()
        theirs.close()
        data = bytearray(100_000)
        transport.write(data)
        data.clear()
        transport.write(memoryview(bytes(20_000)))
        error = await asyncio.wait_for(lost, 5)
        await asyncio.sleep(0.01)
        return error, transport.is_closing()

    same_on_both(scenario)
