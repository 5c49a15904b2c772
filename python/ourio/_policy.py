"""Event loop policies, for programs that cannot pass a loop factory. Python 3.16 removes them."""

import asyncio
import warnings
from typing import TYPE_CHECKING

from ourio._runner import new_event_loop

if TYPE_CHECKING:
    from ourio._loop import EventLoop

with warnings.catch_warnings():
    # Python 3.14 deprecates the whole mechanism; whoever uses it is told by asyncio itself.
    warnings.simplefilter("ignore", DeprecationWarning)
    _DefaultPolicy = asyncio.DefaultEventLoopPolicy


class EventLoopPolicy(_DefaultPolicy):
    """asyncio's default policy, with Ourio's loop."""

    def _loop_factory(self) -> "EventLoop":
        return new_event_loop()


def install() -> None:
    """Make Ourio the loop of every later ``asyncio.run`` and ``asyncio.new_event_loop`` in this process.

    Prefer ``ourio.run`` or ``asyncio.Runner(loop_factory=ourio.new_event_loop)``, which change nothing for
    others.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(EventLoopPolicy())
