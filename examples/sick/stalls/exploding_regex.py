"""A regular expression that tries every way to split a text.

``ourio doctor examples/sick/stalls/exploding_regex.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import re
import sys


async def sick():
    print(re.match(r"(a|aa)+$", "a" * 34 + "b"))  # sick


async def healthy():
    print(re.match(r"a+$", "a" * 34 + "b"))


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
