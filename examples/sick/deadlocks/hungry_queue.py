"""A consumer of a queue that nobody feeds any more.

``ourio doctor examples/sick/deadlocks/hungry_queue.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys


async def consume(queue):
    while (item := await queue.get()) is not None:  # sick
        print(item)


async def sick():
    queue = asyncio.Queue()
    queue.put_nowait("the only one")
    await consume(queue)


async def healthy():
    queue = asyncio.Queue()
    queue.put_nowait("the only one")
    queue.put_nowait(None)
    await consume(queue)


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
