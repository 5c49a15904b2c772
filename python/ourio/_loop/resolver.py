"""``Resolver``: ``getaddrinfo``. Numbers need no resolver, so they are answered here, and remembered.

Names go to asyncio's, which asks the system in a thread: the answer of a resolver is nobody's to keep.
"""

import functools
import socket
import sys
from typing import Any

from ourio._loop.native import NativeLoop


class Resolver(NativeLoop):
    """Resolves hosts and ports."""

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """Resolve a host and a port, as ``socket.getaddrinfo``. Numbers need no resolver, and so no thread."""
        answer = None
        if not (self._debug or self._executor_shutdown_called):  # type: ignore[attr-defined]
            answer = _answer_about_numbers(host, port, family, type, proto, flags)
        if answer is None:
            answer = await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        return answer


_getaddrinfo = socket.getaddrinfo
_PORT_TYPES = (str, int, type(None))
_CHANGEABLE = socket.AI_ADDRCONFIG | socket.AI_CANONNAME


def _answer_about_numbers(host: Any, port: Any, *hints: int) -> list[Any] | None:
    """What the system says of numbers; ``None`` of all else, and where a program answers itself."""
    if type(host) is not str or type(port) not in _PORT_TYPES or socket.getaddrinfo is not _getaddrinfo:
        return None
    answer = _cached_answer(host, port, *hints)
    if answer:
        sys.audit("socket.getaddrinfo", host, port, *hints[:3])
    elif _are_numbers(host, port, hints[-1]):
        # Another thread may have done the same meanwhile.
        answer[:] = _getaddrinfo(host, port, *hints)
    else:
        return None
    return answer.copy()


@functools.lru_cache(maxsize=256, typed=True)
def _cached_answer(*_question: Any) -> list[Any]:
    """Where the answer to a question about numbers is kept; empty at first."""
    return []


def _are_numbers(host: str, port: Any, flags: int) -> bool:
    """Whether a host and a port are numbers, of which the system always says the same.

    Services are in a file, a canonical name would be asked for, and interfaces come and go.
    """
    if flags & _CHANGEABLE or not (port is None or type(port) is int or port.isdecimal()):
        return False
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except (OSError, ValueError):
        return False
    return True
