"""So many objects that refer to each other that a collection of garbage stops the loop.

``ourio doctor examples/sick/stalls/garbage_storm.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import gc
import sys


class Node:
    """A part of a tree that knows its parent, as in many parsers."""

    def __init__(self, parent):
        self.parent, self.children = parent, []


async def tree(count):
    root = Node(None)
    for _ in range(0, count, 1000):
        root.children += [Node(root) for _ in range(1000)]
        await asyncio.sleep(0)
    return root


async def sick():
    gc.disable()
    kept = await tree(3_000_000)
    gc.collect()  # sick
    print(len(kept.children))


async def healthy():
    kept = await tree(3_000)
    gc.collect()
    print(len(kept.children))


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
