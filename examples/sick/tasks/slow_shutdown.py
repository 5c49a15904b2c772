"""A task that goes on after it was cancelled, so that the program does not end.

``ourio doctor examples/sick/tasks/slow_shutdown.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys


async def stubborn(seconds):
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(seconds)  # sick


async def sick():
    task = asyncio.create_task(stubborn(2.5), name="stubborn")
    await asyncio.sleep(0.01)
    print("done", task.done())


async def healthy():
    task = asyncio.create_task(stubborn(0.01), name="quick")
    await asyncio.sleep(0.01)
    print("done", task.done())


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
