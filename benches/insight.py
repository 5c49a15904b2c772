"""What insight costs: ``python benches/insight.py [--rounds 7]``, one interleaved run, ratios to nothing on.

Scheduling cases are timed; the server's CPU time per request is taken from its process, under keep-alive requests of
another one, as in the other benchmarks.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import ourio
from ourio._insight.monitor import Monitor
from ourio._insight.tasks.registry import TaskRegistry

MODES = ("off", "watchdog", "monitor", "recorder", "tasks")
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, world!"


def chain(loop, count=100_000):
    left = count

    def again():
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(again)
        else:
            loop.stop()

    loop.call_soon(again)
    loop.run_forever()
    return count


def sleep_zero(loop, count=100_000):
    async def main():
        for _ in range(count):
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    return count


def create_task(loop, count=30_000):
    async def nothing():
        pass

    async def main():
        for _ in range(count):
            await asyncio.create_task(nothing())

    loop.run_until_complete(main())
    return count


class Http(asyncio.Protocol):
    """As much of HTTP as keep-alive requests need."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for _ in range(data.count(b"\r\n\r\n")):
            self.transport.write(ANSWER)


CLIENT = """
import socket, sys
port, connections, requests = map(int, sys.argv[1:])
socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
for _ in range(requests // connections):
    for sock in socks:
        sock.sendall(b"GET / HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n")
    for sock in socks:
        sock.recv(1000)
"""


def http(loop, count=40_000):
    async def main():
        server = await loop.create_server(Http, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", CLIENT, str(port), "20", str(count))
        await client.wait()
        server.close()

    loop.run_until_complete(main())
    return count


CASES = {"call_soon chain": chain, "sleep(0)": sleep_zero, "create_task": create_task, "http": http}


def switch_on(loop, mode):
    """Switch one thing on, as a user does."""
    match mode:
        case "watchdog":
            ourio.Watchdog(loop).start()
        case "monitor":
            Monitor.show(loop)
        case "recorder":
            ourio.FlightRecorder(loop).start()
        case "tasks":
            TaskRegistry(loop).start()


def measure(case, mode):
    """Seconds per operation: CPU time of the process, with all of its threads."""
    loop = ourio.EventLoop()
    try:
        switch_on(loop, mode)
        for _ in range(2):
            # What runs for a while: the interpreter has specialised the code, and the recorder has been round its ring.
            CASES[case](loop)
        began = time.process_time()
        count = CASES[case](loop)
        return (time.process_time() - began) / count
    finally:
        loop.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*options.child)))
        return
    print(f"| case | off | {' | '.join(MODES[1:])} |\n|---|---|{'---|' * len(MODES[1:])}")
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        own = {**os.environ, "XDG_RUNTIME_DIR": folder}
        for case in CASES:
            times = {mode: [] for mode in MODES}
            for _ in range(options.rounds):
                for mode in MODES:
                    # A process each: what one leaves in memory is no matter of the next.
                    command = [sys.executable, __file__, "--child", case, mode]
                    done = subprocess.run(command, check=True, capture_output=True, text=True, env=own)
                    times[mode].append(json.loads(done.stdout))
            base = times["off"]
            cells = [f"{statistics.median(base) * 1e9:.0f} ns"]
            for mode in MODES[1:]:
                ratios = sorted(time / before for time, before in zip(times[mode], base, strict=True))
                cells.append(f"{statistics.median(ratios):.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
            print(f"| {case} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
