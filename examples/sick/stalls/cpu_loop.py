"""A computation in Python that never lets anybody else run.

``ourio doctor examples/sick/stalls/cpu_loop.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys
import time


def is_prime(number):
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))  # sick


async def sick():
    end = time.monotonic() + 0.4
    count = 0
    while time.monotonic() < end:  # sick
        count += is_prime(10_007)  # sick
    print(count > 0)


async def healthy():
    end = time.monotonic() + 0.4
    count = 0
    while time.monotonic() < end:
        count += is_prime(10_007)
        await asyncio.sleep(0)
    print(count > 0)


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
