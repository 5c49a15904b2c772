"""Puts Ourio's loop in the place of uvloop's in uvloop's own tests."""

import importlib

import ourio
import uvloop


def install():
    """Swap what the tests take from the package."""
    uvloop.new_event_loop = ourio.new_event_loop
    uvloop.Loop = ourio.EventLoop
    uvloop.EventLoopPolicy = ourio.EventLoopPolicy
    uvloop.run = ourio.run
    uvloop.install = ourio.install


def install_late(module):
    """Swap what a file of tests hands to programs that it starts."""
    if module.endswith("test_signals"):
        importlib.import_module(module).Test_UV_Signals.NEW_LOOP = "__import__('ourio').new_event_loop()"
    if module.endswith("test_libuv_api"):
        # It would read whatever lies in our loop where uvloop's has that pointer.
        importlib.import_module(module).libuv_get_loop_t_ptr = _refuse


def _refuse(loop):
    raise TypeError(f"{loop!r} has no loop of libuv")
