"""A task that fails, is kept, and is never asked.

``ourio doctor examples/sick/tasks/swallowed_exception.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys


async def refresh():
    raise ValueError("the cache is gone")  # sick


async def sick():
    task = asyncio.create_task(refresh(), name="refresh")
    await asyncio.sleep(0.05)
    print("all is well", task.done())


async def healthy():
    task = asyncio.create_task(refresh(), name="refresh")
    try:
        await task
    except ValueError as error:
        print(error)


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
