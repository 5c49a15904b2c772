"""A Dask cluster: a scheduler here, two workers in processes of their own, each with this program's kind of loop.

Usage: ``python -m ourio examples/programs/concurrency/dask_cluster.py``
"""

import asyncio
import os
import pathlib
import sys
import time

from distributed import Client, Scheduler, Worker, wait

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

WORKER = "worker"


async def work(address):
    """What a worker process runs."""
    async with Worker(address, nthreads=2, dashboard=False) as worker:
        await worker.finished()


def loop_of_worker(dask_worker):
    return type(dask_worker.loop.asyncio_loop).__module__


def square(n):
    return n * n


def fail():
    raise ValueError("an error of the program's own")


async def start_worker(address):
    # As this process was started, with `python` or `python -m ourio`.
    through = ["-m", "ourio"] if "ourio" in type(asyncio.get_running_loop()).__module__ else []
    return await asyncio.create_subprocess_exec(sys.executable, *through, __file__, WORKER, address)


async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        workers = [await start_worker(scheduler.address) for _ in range(2)]
        async with Client(scheduler.address, asynchronous=True) as client:
            await client.wait_for_workers(2, timeout=60)
            loops = set((await client.run(loop_of_worker)).values())
            equal(loops, {type(asyncio.get_running_loop()).__module__}, "the workers' loops")
            futures = client.map(square, range(200))
            equal(await client.gather(futures), [n * n for n in range(200)], "200 tasks")
            equal(await client.submit(sum, futures), sum(n * n for n in range(200)), "a task on their results")
            where = await client.who_has(futures)
            check(len({holder for holders in where.values() for holder in holders}) == 2, "both workers work")
            data = os.urandom(2_000_000)
            (held,) = await client.scatter([data])
            equal(await client.submit(len, held), len(data), "2 MB scattered")
            equal(await client.submit(bytes, held), data, "and fetched")
            failing = client.submit(fail)
            await wait(failing)
            await raises(ValueError, failing.result(), "a failing task")
            slow = client.submit(time.sleep, 0.2)
            await slow.cancel()
            check(slow.cancelled(), "a cancelled task")
        for worker in workers:
            worker.terminate()
        for worker in workers:
            check(await asyncio.wait_for(worker.wait(), 60) is not None, "a worker ends")
    await report()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[2]) if WORKER in sys.argv[1:2] else main())
