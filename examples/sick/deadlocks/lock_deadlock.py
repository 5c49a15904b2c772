"""Two tasks that take two locks in different orders.

``ourio doctor examples/sick/deadlocks/lock_deadlock.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys


async def move(source, target):
    async with source:
        await asyncio.sleep(0.01)
        async with target:  # sick
            print("moved")


async def sick():
    one, other = asyncio.Lock(), asyncio.Lock()
    await asyncio.gather(move(one, other), move(other, one))


async def healthy():
    one, other = asyncio.Lock(), asyncio.Lock()
    await asyncio.gather(move(one, other), move(one, other))


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
