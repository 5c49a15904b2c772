"""Every kind of echo server at every number of connections and every size of message: the servers of ``network``.

Runs only when it is asked for by name: 156 cases, which took 42 minutes in three rounds of a tenth of the work, with
three messages per connection in place of ten at least.
"""

import functools

import network

KIB = 1024
MESSAGES = {64: 100_000, KIB: 100_000, 16 * KIB: 40_000, 256 * KIB: 3_000}
CONNECTIONS = (1, 10, 100, 1000)
BUFFERED, SOCK_CALLS = network.protocol(network.BufferedEcho), network.sock_calls
READEXACTLY, READLINE = network.streams(network.read_exactly), network.streams(network.read_line)
KINDS = {
    "protocol": (network.ECHO, "tcp"),
    "buffered": (BUFFERED, "tcp"),
    "unix": (network.ECHO, "unix"),
    "udp": (network.datagrams, "udp"),
    "streams read": (network.STREAMS_READ, "tcp"),
    "streams readline": (READLINE, "tcp"),
    "streams readexactly": (READEXACTLY, "tcp"),
    "sock_*": (SOCK_CALLS, "tcp"),
    "tls protocol": (network.ECHO, "tls"),
    "tls streams": (network.STREAMS_READ, "tls"),
}
# No datagram is larger.
DATAGRAM_MAX = 64 * KIB


def label(kind, size, connections):
    return f"{kind} {network.in_words(size)} x{connections}"


prepare = network.prepare
ALL = {
    label(kind, size, connections): network.Case(start, transport, connections, size, messages)
    for kind, (start, transport) in KINDS.items()
    for size, messages in MESSAGES.items()
    for connections in CONNECTIONS
    if transport != "udp" or size < DATAGRAM_MAX
}
CASES = {name: functools.partial(network.run, case) for name, case in ALL.items()}
LIMITS = {name for name, case in ALL.items() if case.has_limit}
METRICS = dict.fromkeys(CASES, (("CPU", 1e6, "us"), ("time", 1e6, "us"), ("p99", 1e6, "us")))
ON_REQUEST = True
