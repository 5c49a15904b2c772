"""The loops that are compared, and how each is made."""

import asyncio
import importlib
import importlib.util

# Stock asyncio is the control.
# A bare native program without Python, where a case has one: what no loop can be faster than.
LIMIT = "epoll"
NAMES = ("asyncio", "uvloop", "rloop", "rsloop", "zuvloop", "ourio")


def available():
    """The loops that this interpreter has."""
    return [name for name in NAMES if importlib.util.find_spec(name) is not None]


def new_loop(name):
    """A new loop of that name; None for the limit, which is no loop."""
    if name == LIMIT:
        return None
    if name == "aiofastnet":
        return importlib.import_module(name).loop_factory(importlib.import_module("uvloop").new_event_loop)()
    if name == "asyncio":
        return asyncio.SelectorEventLoop()
    return importlib.import_module(name).new_event_loop()
