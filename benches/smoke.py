"""One interleaved comparison of loops on a handful of cases: ``python benches/smoke.py [ROUNDS]``.

Every case runs in fresh processes, one per loop and round, in rotating order. The table gives the median per
operation with its spread, and the ratio to uvloop. ``stock`` asyncio is the control.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time

LOOPS = ("asyncio", "uvloop", "ourio")


def new_loop(name):
    if name == "asyncio":
        return asyncio.SelectorEventLoop()
    module = __import__(name)
    return module.new_event_loop()


def call_soon_chain(loop, count=300_000):
    left = count

    def step():
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(step)
        else:
            loop.stop()

    loop.call_soon(step)
    started = time.perf_counter()
    loop.run_forever()
    return (time.perf_counter() - started) / count


def call_later_cancel(loop, count=200_000):
    def nothing():
        pass

    async def main():
        started = time.perf_counter()
        for _ in range(count):
            loop.call_later(60, nothing).cancel()
        return (time.perf_counter() - started) / count

    return loop.run_until_complete(main())


def sleep_zero(loop, count=200_000):
    async def main():
        started = time.perf_counter()
        for _ in range(count):
            await asyncio.sleep(0)
        return (time.perf_counter() - started) / count

    return loop.run_until_complete(main())


def create_task(loop, count=100_000):
    async def nothing():
        pass

    async def main():
        started = time.perf_counter()
        for _ in range(count):
            await loop.create_task(nothing())
        return (time.perf_counter() - started) / count

    return loop.run_until_complete(main())


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


CLIENT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "target/release/examples/echo_load")


def echo_100(loop, messages=200_000):
    """1 KiB over 100 connections; the client is a native program. Gives the server's CPU per message, and the time."""

    async def main():
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        before = sum(os.times()[:2])
        command = [CLIENT, str(port), "100", str(messages), "1024"]
        client = await loop.run_in_executor(
            None, lambda: subprocess.run(command, capture_output=True, check=True, text=True)
        )
        cpu = (sum(os.times()[:2]) - before) / messages
        server.close()
        return cpu, float(client.stdout)

    return loop.run_until_complete(main())


CASES = {
    "call_soon chain": call_soon_chain,
    "call_later + cancel": call_later_cancel,
    "sleep(0)": sleep_zero,
    "create_task": create_task,
    "echo 1 KiB x100": echo_100,
}


def child(case, loop_name):
    outcome = CASES[case](new_loop(loop_name))
    if isinstance(outcome, float):
        outcome = (outcome,)
    print(json.dumps(outcome))


def main(rounds):
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, {rounds} rounds, medians in microseconds")
    for case in CASES:
        results = {name: [] for name in LOOPS}
        for turn in range(rounds):
            for offset in range(len(LOOPS)):
                name = LOOPS[(turn + offset) % len(LOOPS)]
                out = subprocess.run(
                    [sys.executable, __file__, "--child", case, name], capture_output=True, check=True, text=True
                )
                results[name].append(json.loads(out.stdout))
        for metric in range(len(results["ourio"][0])):
            label = case if len(results["ourio"][0]) == 1 else f"{case}, {('server CPU', 'time')[metric]}"
            medians = {n: statistics.median(r[metric] for r in rows) * 1e6 for n, rows in results.items()}
            cells = []
            for name, rows in results.items():
                low, high = min(r[metric] for r in rows) * 1e6, max(r[metric] for r in rows) * 1e6
                cells.append(f"{name} {medians[name]:7.3f} ({low:.3f}..{high:.3f})")
            ratio = medians["uvloop"] / medians["ourio"]
            print(f"{label:28} {'  '.join(cells)}  x{ratio:.2f} of uvloop", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
