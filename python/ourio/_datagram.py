"""asyncio's datagram transport with native methods for what runs per datagram."""

from asyncio import selector_events

from ourio import _ourio


class _SelectorDatagramTransport(selector_events._SelectorDatagramTransport):  # type: ignore[name-defined, misc]
    """asyncio's transport of an IPv4 socket, by name too. ``sendto`` and the receiving are native."""


_ourio._add_datagram_methods(_SelectorDatagramTransport)
