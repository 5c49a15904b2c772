"""``NativeLoop``: the native loop, and asyncio's behind it.

Every part of ``EventLoop`` stands on it: a class that holds the methods of one noun. A part's ``super()`` is asyncio's
own method, as no two parts have one of the same name, and the native loop is asked before asyncio's.
"""

import asyncio

from ourio import _ourio


class NativeLoop(_ourio.Loop, asyncio.SelectorEventLoop):
    """What is native comes first; asyncio has the rest."""
