"""A coroutine that sleeps as a thread does: nothing else runs meanwhile.

``ourio doctor examples/sick/stalls/sleep_in_coroutine.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys
import time


async def handler():
    time.sleep(0.3)  # sick


async def sick():
    await asyncio.gather(handler(), handler())


async def healthy():
    await asyncio.gather(asyncio.sleep(0.3), asyncio.sleep(0.3))


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
