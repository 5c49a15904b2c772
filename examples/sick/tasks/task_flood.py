"""A producer that makes a task for each item, faster than they end.

``ourio doctor examples/sick/tasks/task_flood.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys


async def work(item):
    await asyncio.sleep(30)
    return item


async def sick():
    tasks = []
    for start in range(0, 15_000, 100):
        tasks += [asyncio.create_task(work(item)) for item in range(start, start + 100)]  # sick
        await asyncio.sleep(0.01)
    await asyncio.sleep(1.5)
    for task in tasks:
        task.cancel()


async def healthy():
    room = asyncio.Semaphore(100)

    async def bounded(item):
        async with room:
            await asyncio.sleep(0.001)
            return item

    for start in range(0, 15_000, 1000):
        await asyncio.gather(*(bounded(item) for item in range(start, start + 1000)))


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
