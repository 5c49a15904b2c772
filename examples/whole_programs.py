"""Five larger programs: diagnosis, synchronisation, I/O of every kind, mixed models, failures.

``python examples/whole_programs.py [asyncio|ourio] [NUMBER ...]``. They continue ``scenarios.py`` by the numbers of
its list; numbers 21 and 22, programs against real servers and programs in Rust, are folders of their own. What
they print does not depend on the loop; the tests check that.
"""

import asyncio
import contextlib
import functools
import gc
import io
import logging
import math
import os
import queue
import resource
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import trustme
from scenarios import main, scenario


@scenario(18, "diagnosis: which task waits where, and what went wrong")
async def diagnosis():
    loop = asyncio.get_running_loop()
    gate = asyncio.Event()

    async def wait_at_the_gate():
        await gate.wait()

    waiting = [asyncio.create_task(wait_at_the_gate(), name=f"visitor {n}") for n in range(3)]
    await asyncio.sleep(0)
    here = asyncio.current_task()
    names = sorted(task.get_name() for task in asyncio.all_tasks() if task is not here)
    print("all tasks:", ", ".join(names))
    printed = io.StringIO()
    waiting[0].print_stack(file=printed)
    print("a stack ends at:", printed.getvalue().splitlines()[-1].strip())
    if sys.version_info >= (3, 14):
        graph = asyncio.capture_call_graph(waiting[1])
        print("call graph:", graph.call_stack[-1].frame.f_code.co_name)
    else:
        print("call graph:", waiting[1].get_coro().__name__)
    gate.set()
    await asyncio.gather(*waiting)

    logged = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        loop.set_debug(True)
        loop.slow_callback_duration = 0.05

        async def blocks():
            time.sleep(0.06)

        await asyncio.create_task(blocks())
        await asyncio.sleep(0)
        slow = [text for text in logged if "took" in text]
        print("a blocking call:", len(slow), "report, names the coroutine:", "blocks()" in slow[0])
        loop.set_debug(False)

        async def fails():
            raise LookupError("nobody looked")

        lost = asyncio.create_task(fails())
        await asyncio.sleep(0)
        del lost
        gc.collect()
        print("a lost exception:", next(text for text in logged if "never retrieved" in text).splitlines()[0])
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
    flood = [asyncio.create_task(asyncio.sleep(0)) for _ in range(10_000)]
    print("a flood:", f"{len(asyncio.all_tasks()) - 1:,} tasks at once")
    await asyncio.gather(*flood)


@scenario(19, "synchronisation: fair, and safe to cancel")
async def synchronisation():
    order = []
    lock = asyncio.Lock()

    async def holder(n):
        async with lock:
            order.append(n)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(holder(n)) for n in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print("a lock is first come, first served; the cancelled one is passed over:", order)

    semaphore, most, inside = asyncio.Semaphore(3), 0, 0

    async def limited():
        nonlocal most, inside
        async with semaphore:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(limited() for _ in range(20)))
    print("a semaphore of 3 lets in at most", most)

    condition, stock, taken = asyncio.Condition(), [], []

    async def consumer():
        async with condition:
            await condition.wait_for(lambda: stock)
            taken.append(stock.pop(0))

    consumers = [asyncio.create_task(consumer()) for _ in range(3)]
    for item in "abc":
        async with condition:
            stock.append(item)
            condition.notify()
        await asyncio.sleep(0)
    await asyncio.gather(*consumers)
    print("a condition hands over:", taken)

    barrier, met = asyncio.Barrier(3), []

    async def meet(n):
        met.append(("comes", n))
        await barrier.wait()
        met.append(("goes", n))

    await asyncio.gather(*(meet(n) for n in range(3)))
    print("a barrier:", [what for what, _ in met])

    jobs, done = asyncio.PriorityQueue(maxsize=2), []

    async def worker():
        while True:
            done.append(await jobs.get())
            jobs.task_done()

    workers = [asyncio.create_task(worker()) for _ in range(2)]
    for n in (3, 1, 2):
        await jobs.put(n)
    await jobs.join()
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    print("a queue is joined when all", len(done), "are done")


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.heard = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if self.transport.get_extra_info("peername") is None:
            self.transport.sendto(data.upper(), address)
        else:
            self.heard.set_result(data)


async def upper(reader, writer):
    async for line in reader:
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def ask(reader, writer, text):
    writer.write(text.encode() + b"\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer.decode().strip()


def certificates():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@scenario(20, "I/O: TCP, TLS, Unix sockets, UDP, pipes, names, files, processes, signals")
async def every_io():
    loop = asyncio.get_running_loop()
    server_context, client_context = certificates()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        async with (
            await asyncio.start_server(upper, "127.0.0.1", 0) as tcp,
            await asyncio.start_server(upper, "127.0.0.1", 0, ssl=server_context) as tls,
            await asyncio.start_unix_server(upper, path) as unix,
        ):
            print("TCP:", await ask(*await asyncio.open_connection(*tcp.sockets[0].getsockname()), "over tcp"))
            secure = await asyncio.open_connection(
                *tls.sockets[0].getsockname(), ssl=client_context, server_hostname="localhost"
            )
            print(
                "TLS:",
                await ask(*secure, "over tls"),
                secure[1].get_extra_info("ssl_object").version(),
            )
            print("Unix:", await ask(*await asyncio.open_unix_connection(path), "over a path"), len(unix.sockets))
        with open(os.path.join(folder, "file"), "wb") as file:
            await asyncio.to_thread(file.write, b"written by a thread")
        with open(file.name, "rb") as file:
            print("file:", (await asyncio.to_thread(file.read)).decode())
    server, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    client, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=server.get_extra_info("sockname"))
    client.sendto(b"over udp")
    print("UDP:", (await protocol.heard).decode())
    client.close(), server.close()
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0))
    os.write(writing, b"through a pipe")
    os.close(writing)
    print("pipe:", (await reader.read()).decode())
    pipe.close()
    found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    print("name:", found[0][4])
    process = await asyncio.create_subprocess_exec("tr", "a-z", "A-Z", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = await process.communicate(b"through a process")
    print("process:", out.decode(), process.returncode)
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, heard.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await heard.wait()
    loop.remove_signal_handler(signal.SIGUSR1)
    print("signal: heard")
    await asyncio.sleep(0.01)


def primes_below(limit):
    """Work for a processor."""
    return sum(all(n % d for d in range(2, math.isqrt(n) + 1)) for n in range(2, limit))


class OldLibrary:
    """Knows nothing of coroutines: it blocks, and calls back from a thread of its own."""

    def __init__(self):
        self.jobs = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while (job := self.jobs.get()) is not None:
            argument, callback = job
            time.sleep(0.001)
            callback(argument * 2)

    def submit(self, argument, callback):
        self.jobs.put((argument, callback))

    def stop(self):
        self.jobs.put(None)
        self.thread.join()


@scenario(23, "mixed: the loop for I/O, processes for the CPU, threads for an old library")
async def mixed():
    loop = asyncio.get_running_loop()
    beats = 0

    async def heartbeat():
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.005)

    async def from_old_library(library, argument):
        future = loop.create_future()
        library.submit(argument, lambda answer: loop.call_soon_threadsafe(future.set_result, answer))
        return await future

    async def from_network(address, text):
        return await ask(*await asyncio.open_connection(*address), text)

    library = OldLibrary()
    heart = asyncio.create_task(heartbeat())
    with ProcessPoolExecutor(2) as processes:
        async with await asyncio.start_server(upper, "127.0.0.1", 0) as server, asyncio.TaskGroup() as group:
            address = server.sockets[0].getsockname()
            counted = [loop.run_in_executor(processes, primes_below, limit) for limit in (20_000, 30_000, 40_000)]
            doubled = [group.create_task(from_old_library(library, n)) for n in range(10)]
            asked = [group.create_task(from_network(address, f"question {n}")) for n in range(10)]
            threaded = [group.create_task(asyncio.to_thread(functools.reduce, max, range(n + 1))) for n in range(5)]
            print("processes counted primes:", await asyncio.gather(*counted))
    heart.cancel()
    library.stop()
    print("the old library answered:", [task.result() for task in doubled])
    print("the network answered:", asked[-1].result(), "| threads:", [task.result() for task in threaded])
    print("the loop went on meanwhile:", beats > 3)


@contextlib.contextmanager
def few_descriptors(left):
    """Leave the process only so many descriptors to open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@scenario(24, "failures: a clear error, nothing lost, and the loop lives")
async def failures():
    loop = asyncio.get_running_loop()
    reports = []
    loop.set_exception_handler(lambda _loop, context: reports.append(context["message"]))

    with socket.create_server(("127.0.0.1", 0)) as silent:
        reader, writer = await asyncio.open_connection(*silent.getsockname())
        writer.write(b"anybody there?\n")
        try:
            async with asyncio.timeout(0.05):
                await reader.readline()
        except TimeoutError as error:
            print("a peer that never answers:", type(error).__name__)
        writer.close()
        await writer.wait_closed()
        address = silent.getsockname()
    try:
        await asyncio.open_connection(*address)
    except ConnectionRefusedError as error:
        print("a refused connection:", error.strerror.partition("(")[0].strip())

    async def reset(reader, writer):
        await reader.readline()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"reset me\n")
        try:
            await reader.readline()
        except ConnectionResetError as error:
            print("a reset:", error.strerror)
        writer.close()

    async with await asyncio.start_server(upper, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        kept = await asyncio.open_connection(*address)
        with few_descriptors(left=3):
            opened = []
            try:
                while True:
                    opened.append(await asyncio.open_connection(*address))
            except OSError as error:
                print("no descriptors left:", error.strerror)
        # The connection that was there before works on; so does a new one, once there is room again.
        for _, writer in opened:
            writer.close()
        print("afterwards:", await ask(*kept, "kept"), "|", await within_seconds(ask_anew, address))
    print("the loop lives:", await asyncio.sleep(0, True))
    await asyncio.sleep(0.01)
    loop.set_exception_handler(None)


async def ask_anew(address):
    return await ask(*await asyncio.open_connection(*address), "new")


async def within_seconds(work, *args):
    async with asyncio.timeout(30):
        return await work(*args)


if __name__ == "__main__":
    main()
