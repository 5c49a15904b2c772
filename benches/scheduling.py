"""Scheduling: what a loop does without any I/O. Each case gives seconds per operation."""

import asyncio
import gc
import os
import threading
import time


def timed(loop, main, count, clock=time.perf_counter):
    """Run ``main``, which does so many operations, and give seconds per operation."""

    async def measure():
        gc.collect()
        started = clock()
        await main()
        return (clock() - started) / count

    return loop.run_until_complete(measure())


def call_soon_chain(loop, scale):
    count = left = int(300_000 * scale)

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


def call_soon_burst(loop, scale):
    """Bursts of a thousand callbacks with arguments."""
    rounds = int(200 * scale)

    def nothing(a, b):
        pass

    async def main():
        for _ in range(rounds):
            for n in range(1000):
                loop.call_soon(nothing, n, rounds)
            await asyncio.sleep(0)

    return timed(loop, main, rounds * 1000)


def call_later_cancel(loop, scale):
    count = int(200_000 * scale)

    async def main():
        for _ in range(count):
            loop.call_later(60, print).cancel()

    return timed(loop, main, count)


def timers_firing(loop, scale):
    """50,000 timers of random order that are due within a millisecond, once all are there: CPU time."""
    count = int(50_000 * scale)

    async def main():
        done = loop.create_future()
        left = count

        def fire():
            nonlocal left
            left -= 1
            if not left:
                done.set_result(None)

        start = loop.time() + 0.5
        for n in range(count):
            loop.call_at(start + (n * 7919 % 1000) * 1e-6, fire)
        await done

    return timed(loop, main, count, time.process_time)


def sleep_zero(loop, scale):
    count = int(200_000 * scale)

    async def main():
        for _ in range(count):
            await asyncio.sleep(0)

    return timed(loop, main, count)


def sleep_zero_100_tasks(loop, scale):
    count = int(2000 * scale)

    async def work():
        for _ in range(count):
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*(work() for _ in range(100)))

    return timed(loop, main, count * 100)


def create_task(loop, scale):
    count = int(100_000 * scale)

    async def nothing():
        pass

    async def main():
        for _ in range(count):
            await loop.create_task(nothing())

    return timed(loop, main, count)


def gather(loop, scale):
    count = int(50_000 * scale)

    async def main():
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(count)))

    return timed(loop, main, count)


def queue_ping_pong(loop, scale):
    count = int(50_000 * scale)

    async def main():
        there, back = asyncio.Queue(1), asyncio.Queue(1)

        async def pong():
            for _ in range(count):
                await back.put(await there.get())

        other = loop.create_task(pong())
        for n in range(count):
            await there.put(n)
            await back.get()
        await other

    return timed(loop, main, count)


def timeout(loop, scale):
    count = int(50_000 * scale)

    async def main():
        for _ in range(count):
            async with asyncio.timeout(10):
                await asyncio.sleep(0)

    return timed(loop, main, count)


def call_soon_threadsafe(loop, scale):
    """From another thread, while the loop is idle or busy with what came before."""
    count = int(100_000 * scale)

    async def main():
        done = loop.create_future()
        left = count

        def arrive():
            nonlocal left
            left -= 1
            if not left:
                done.set_result(None)

        def work():
            for _ in range(count):
                loop.call_soon_threadsafe(arrive)

        thread = threading.Thread(target=work)
        thread.start()
        await done
        thread.join()

    return timed(loop, main, count)


def to_thread(loop, scale):
    count = int(5_000 * scale)

    async def main():
        for _ in range(count):
            await asyncio.to_thread(int)

    return timed(loop, main, count)


def sleepers(loop, scale):
    """A million tasks asleep at once: seconds, and bytes of resident memory, per task."""
    count = int(1_000_000 * scale)

    def resident():
        with open("/proc/self/statm") as numbers:
            return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def main():
        before = resident()
        started = time.perf_counter()
        tasks = [loop.create_task(asyncio.sleep(0.5 + count * 3e-6)) for _ in range(count)]
        await asyncio.sleep(0)
        size = (resident() - before) / count
        spawned = time.perf_counter() - started
        await asyncio.gather(*tasks)
        # What it takes beyond the sleep itself.
        took = time.perf_counter() - started - 0.5 - count * 3e-6
        return max(took, spawned) / count, size

    return loop.run_until_complete(main())


CASES = {
    "call_soon chain": call_soon_chain,
    "call_soon burst": call_soon_burst,
    "call_later + cancel": call_later_cancel,
    "timers firing": timers_firing,
    "sleep(0)": sleep_zero,
    "sleep(0), 100 tasks": sleep_zero_100_tasks,
    "create_task": create_task,
    "gather 50,000": gather,
    "queue ping-pong": queue_ping_pong,
    "timeout": timeout,
    "call_soon_threadsafe": call_soon_threadsafe,
    "to_thread": to_thread,
    "1,000,000 asleep": sleepers,
}
METRICS = {"1,000,000 asleep": (("time", 1e6, "us"), ("memory", 1, "B"))}
