"""A task that nobody keeps: the garbage collector takes it while it waits.

``ourio doctor examples/sick/tasks/dropped_task.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import gc
import sys


async def background():
    # Only the task itself knows this future, so nothing outside knows either of them.
    await asyncio.get_running_loop().create_future()


async def sick():
    asyncio.create_task(background())  # sick
    await asyncio.sleep(0.01)
    gc.collect()
    await asyncio.sleep(0.01)


async def healthy():
    kept = asyncio.create_task(background())
    await asyncio.sleep(0.01)
    gc.collect()
    kept.cancel()
    await asyncio.wait([kept])


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
