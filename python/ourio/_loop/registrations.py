"""``Registrations``: the selector that asyncio's code believes to have."""

import selectors
from typing import Any

from ourio import _ourio


class Registrations:
    """Tells who is registered for a descriptor. It selects nothing: the engine's poller does.

    Args:
        loop: The loop that has the poller.
    """

    def __init__(self, loop: _ourio.Loop) -> None:
        self._loop = loop

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """What is registered for a descriptor, as of ``selectors.BaseSelector``.

        Raises:
            KeyError: Nothing is.
        """
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        registered = self._loop._registration(fd)
        if registered is None:
            raise KeyError(f"{fileobj!r} is not registered")
        events, reader, writer = registered
        return selectors.SelectorKey(fileobj, fd, events, (reader, writer))

    def close(self) -> None:
        """asyncio closes its selector; the poller goes with the native loop."""
