"""Two tasks that wait for each other's end.

``ourio doctor examples/sick/deadlocks/task_cycle.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys


async def waits_for(tasks, name):
    await asyncio.sleep(0.01)
    if name in tasks:
        await tasks[name]  # sick


async def sick():
    tasks = {}
    tasks["hen"] = asyncio.create_task(waits_for(tasks, "egg"), name="hen")
    tasks["egg"] = asyncio.create_task(waits_for(tasks, "hen"), name="egg")
    await asyncio.wait(tasks.values())


async def healthy():
    tasks = {}
    tasks["hen"] = asyncio.create_task(waits_for(tasks, "egg"), name="hen")
    tasks["egg"] = asyncio.create_task(waits_for(tasks, "nothing"), name="egg")
    await asyncio.wait(tasks.values())


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
