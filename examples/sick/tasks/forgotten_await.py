"""A coroutine that is made, and not awaited.

``ourio doctor examples/sick/tasks/forgotten_await.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys


async def save(record):
    print("saved", record)


async def sick():
    save("this")  # sick
    await asyncio.sleep(0.01)


async def healthy():
    await save("this")


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
