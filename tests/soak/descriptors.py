"""Opens and closes connections, pipes and processes under random cancellation, and counts descriptors.

Other threads open and close descriptors of their own meanwhile, and check that nobody touches them: what is
closed twice, or used after it was closed, would hit one of theirs. At the end the process has the same descriptors
as at the beginning.

Usage: ``descriptors.py [--count N] [--seed N] [--loop ourio|asyncio]``
"""

import argparse
import asyncio
import contextlib
import gc
import os
import random
import resource
import subprocess
import threading
import time
import warnings

import ourio

# How many operations run at once.
AT_ONCE = 100
STRANGERS = 3


class Stranger(threading.Thread):
    """Owns descriptors that nobody else may touch."""

    def __init__(self, seed):
        super().__init__()
        self.random = random.Random(seed)
        self.over = threading.Event()
        self.rounds = 0
        self.wrong = []

    def run(self):
        try:
            while not self.over.is_set():
                self.round()
                self.rounds += 1
        except OSError as error:
            self.wrong.append(repr(error))

    def round(self):
        token = self.random.randbytes(16)
        pipes = [os.pipe() for _ in range(8)]
        before = [os.fstat(fd).st_ino for pair in pipes for fd in pair]
        for _, writing in pipes:
            os.write(writing, token)
        # Others run now.
        time.sleep(0.0002)
        if [os.fstat(fd).st_ino for pair in pipes for fd in pair] != before:
            self.wrong.append("a number of ours is another file")
        for reading, writing in pipes:
            if os.read(reading, 64) != token:
                self.wrong.append("somebody else wrote or read")
            os.close(reading)
            os.close(writing)


class Work:
    """One soak on one loop."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.outcomes = dict.fromkeys(("done", "cancelled", "failed"), 0)
        self.kinds = dict.fromkeys(("connection", "pipe", "process"), 0)
        self.address = None

    async def main(self, count):
        async def serve(reader, writer):
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while data := await reader.read(1000):
                    writer.write(data)
                    await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
        self.address = server.sockets[0].getsockname()
        gate = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                await gate.acquire()
                group.create_task(self.one(gate))
        server.close()
        await server.wait_closed()

    async def one(self, gate):
        draw = self.random.random()
        kind = "process" if draw < 0.01 else "pipe" if draw < 0.1 else "connection"
        self.kinds[kind] += 1
        task = asyncio.create_task(getattr(self, kind)())
        if self.random.random() < 0.5:
            # Somewhere in the middle of it.
            for _ in range(self.random.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
        try:
            await task
            self.outcomes["done"] += 1
        except asyncio.CancelledError:
            self.outcomes["cancelled"] += 1
        except OSError:
            self.outcomes["failed"] += 1
        finally:
            gate.release()

    async def connection(self):
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            blob = self.random.randbytes(self.random.choice((1, 100, 20_000)))
            writer.write(blob)
            if await reader.readexactly(len(blob)) != blob:
                raise AssertionError("another connection's answer")
        finally:
            if self.random.random() < 0.5:
                writer.close()
            else:
                writer.transport.abort()

    async def pipe(self):
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        reading, writing = os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)
        with contextlib.ExitStack() as stack:
            stack.callback(reading.close)
            stack.callback(writing.close)
            reader = asyncio.StreamReader()
            transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), reading)
            stack.callback(transport.close)
            out, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, writing)
            stack.callback(out.abort)
            out.write(b"through")
            if await reader.readexactly(7) != b"through":
                raise AssertionError("another pipe's bytes")

    async def process(self):
        process = await asyncio.create_subprocess_exec(
            "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            out, _ = await process.communicate(b"through a process")
            if out != b"through a process":
                raise AssertionError("another process's output")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            process._transport.close()


def descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return {fd: link for fd, link in found.items() if not link.endswith("/fd")}


def soak(factory, count, seed):
    """Run it; what it did. AssertionError if a descriptor is left, or a stranger's was touched."""
    gc.collect()
    before = descriptors()
    strangers = [Stranger(seed + n) for n in range(STRANGERS)]
    for stranger in strangers:
        stranger.start()
    work = Work(seed)
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            # What a cancelled operation leaves is for the collector, as in any program.
            runner.get_loop().set_exception_handler(lambda loop, context: None)
            runner.run(work.main(count))
    finally:
        for stranger in strangers:
            stranger.over.set()
        for stranger in strangers:
            stranger.join()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    wrong = [text for stranger in strangers for text in stranger.wrong]
    if wrong:
        raise AssertionError(f"descriptors of other threads were touched: {wrong[:5]}")
    left = {fd: link for fd, link in descriptors().items() if before.get(fd) != link}
    if left:
        raise AssertionError(f"{len(left)} descriptors are left: {left}")
    return {**work.kinds, **work.outcomes, "rounds of strangers": sum(s.rounds for s in strangers)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--loop", choices=["ourio", "asyncio"], default="ourio")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    print(f"descriptors on {options.loop}: seed {options.seed}", flush=True)
    factory = ourio.new_event_loop if options.loop == "ourio" else asyncio.SelectorEventLoop
    warnings.simplefilter("ignore", ResourceWarning)
    started = time.monotonic()
    told = soak(factory, options.count, options.seed)
    took = time.monotonic() - started
    print(", ".join(f"{count:,} {what}" for what, count in told.items()), f"in {took:.0f} s: ok")


if __name__ == "__main__":
    main()
