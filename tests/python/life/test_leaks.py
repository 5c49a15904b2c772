"""Nothing is left behind: objects, descriptors, entries; several loops at once do not meet."""

import asyncio
import gc
import os
import platform
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import ourio
import pytest

SOAK = Path(__file__).parents[2] / "soak/descriptors.py"


class Echo(asyncio.Protocol):
    alive = weakref.WeakSet()

    def __init__(self):
        self.alive.add(self)

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def converse(address, message):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(message)
    assert await reader.readexactly(len(message)) == message
    writer.close()
    await writer.wait_closed()


def test_connections_leave_no_protocol_no_transport_and_no_descriptor(run):
    transports = weakref.WeakSet()

    class Watched(Echo):
        def connection_made(self, transport):
            super().connection_made(transport)
            transports.add(transport)

    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Watched, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        await converse(address, b"warm up")
        await asyncio.sleep(0.01)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            await asyncio.gather(*(converse(address, b"x" * 1000) for _ in range(20)))
        await asyncio.sleep(0.01)
        gc.collect()
        assert len(Watched.alive) == 0
        assert len(transports) == 0
        assert len(os.listdir("/proc/self/fd")) == before
        server.close()

    run(main())


def test_callbacks_and_timers_let_go_of_what_they_held(run):
    class Held:
        pass

    held = weakref.WeakSet()

    def hold():
        thing = Held()
        held.add(thing)
        return thing

    def use(*things):
        pass

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(100):
            loop.call_soon(use, hold())
            loop.call_soon(use, hold(), hold())
            loop.call_later(0, use, hold())
            loop.call_later(1000, use, hold()).cancel()
            loop.call_soon_threadsafe(use, hold())
            task = asyncio.create_task(asyncio.sleep(0, hold()))
        await asyncio.sleep(0.01)
        await task
        del task
        gc.collect()
        assert len(held) == 0

    run(main())


def test_a_closed_loop_is_collected_with_its_entries(loop_factory):
    loop = loop_factory()
    gone = weakref.ref(loop)
    loop.call_soon(lambda held=loop: held)
    loop.call_later(1000, lambda held=loop: held)
    loop.itself = loop
    loop.close()
    del loop
    gc.collect()
    assert gone() is None


def test_loops_in_several_threads_do_not_meet(loop_factory):
    errors = []

    async def main(name):
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        await asyncio.gather(*(converse(address, f"{name}-{n}".encode() * 500) for n in range(50)))
        server.close()
        await asyncio.sleep(0.01)

    def work(name):
        try:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(main(name))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_million_cancelled_timers_do_not_grow_the_loop():
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(100_000):
            loop.call_later(1000, print).cancel()
        assert loop._counters()["timers"] == 0

    ourio.run(main())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators keep what they like")
@pytest.mark.parametrize(("threshold", "fetched_again"), [(None, False), ("131072", True)])
def test_large_blocks_stay_in_the_heap(threshold, fetched_again):
    """Blocks of messages are not fetched from the kernel again each time, unless the C library was told to."""
    program = """
import resource, ourio

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

ourio.new_event_loop().close()
block = b"x" * (1 << 18)
for _ in range(2):
    before = faults()
    for _ in range(50):
        held = [bytearray(block) for _ in range(16)]
        del held
print(faults() - before)
"""
    environment = {**os.environ, **({"MALLOC_MMAP_THRESHOLD_": threshold} if threshold else {})}
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    # 64 pages each.
    assert (int(told.stdout) > 50 * 64) == fetched_again, told.stdout


def test_a_closed_loop_that_is_kept_keeps_at_most_one_descriptor(loop_factory):
    before = len(os.listdir("/proc/self/fd"))
    loop = loop_factory()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    assert loop.is_closed()


def test_descriptors_are_neither_leaked_nor_anybody_elses():
    """The soak of ``cargo xtask soak descriptors``, shorter; its seed is in its output."""
    done = subprocess.run(
        [sys.executable, SOAK, "--count", "3000"], capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
