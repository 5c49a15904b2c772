"""Many units of waiting: ``python examples/many_units.py LOOP coroutines|threads|sleepers COUNT``.

``coroutines`` and ``threads`` do COUNT units of 1 ms I/O; ``sleepers`` has COUNT coroutines asleep at the same
time. Prints one JSON line: seconds, and bytes of memory per unit at the peak.
"""

import asyncio
import json
import sys
import threading
import time

from web_service import loop_factory


def memory():
    """Resident memory in bytes; the kernel's own count, as tracemalloc would slow the program down."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


async def coroutines(count):
    await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(count)))


def threads(count):
    units = [threading.Thread(target=time.sleep, args=(0.001,)) for _ in range(count)]
    for unit in units:
        unit.start()
    for unit in units:
        unit.join()


async def sleepers(count):
    """All are asleep before the first wakes: the delay grows with their number."""
    delay = 1 + count / 100_000
    before = memory()
    tasks = [asyncio.create_task(asyncio.sleep(delay)) for _ in range(count)]
    await asyncio.sleep(delay * 0.9)
    per_unit = (memory() - before) / count
    await asyncio.gather(*tasks)
    return per_unit, delay


def main():
    name, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    factory = loop_factory(name)
    before, started, asleep = memory(), time.perf_counter(), 0.0
    if kind == "threads":
        threads(count)
        per_unit = (memory() - before) / count
    else:
        with asyncio.Runner(loop_factory=factory) as runner:
            if kind == "coroutines":
                runner.run(coroutines(count))
                per_unit = (memory() - before) / count
            else:
                per_unit, asleep = runner.run(sleepers(count))
    seconds = time.perf_counter() - started - asleep
    print(json.dumps({"count": count, "seconds": seconds, "bytes_per_unit": max(per_unit, 0)}))


if __name__ == "__main__":
    main()
