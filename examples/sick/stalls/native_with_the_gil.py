"""A native function that keeps the interpreter's lock: not even another thread runs meanwhile.

``ourio doctor examples/sick/stalls/native_with_the_gil.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys


async def sick():
    print(sum(range(150_000_000)))  # sick


async def healthy():
    total = 0
    for start in range(0, 150_000_000, 500_000):
        total += sum(range(start, start + 500_000))
        await asyncio.sleep(0)
    print(total)


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
