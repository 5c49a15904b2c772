"""Latency at a load that every loop can serve: the servers of ``network``, asked by the clock.

Where each connection sends as soon as it has its answer, the one client is as busy as the server, and answers wait at
both. Here so many messages a second are sent, at most half of what the slowest loop
can answer, and how long one took is counted from when it was due. The percentiles are the medians of those of 500
messages each: a shared machine that stops a server for a millisecond would else be what is measured.
"""

import functools

import network

RATES = {
    "protocol 1 KiB x1": 5_000,
    "protocol 1 KiB x10": 60_000,
    "protocol 1 KiB x100": 60_000,
    "protocol 1 KiB x1000": 50_000,
    "protocol 64 B x100": 60_000,
    "protocol 16 KiB x100": 40_000,
    "protocol 256 KiB x10": 5_000,
    "buffered 1 KiB x100": 60_000,
    "unix 1 KiB x100": 60_000,
    "udp 1 KiB x100": 20_000,
    "streams read 1 KiB x100": 40_000,
    "streams readexactly 1 KiB x100": 40_000,
    "sock_* 1 KiB x100": 18_000,
    "tls protocol 1 KiB x100": 20_000,
    "tls protocol 16 KiB x100": 10_000,
    "tls streams 1 KiB x100": 18_000,
}


def run(case, rate, loop, scale):
    load = functools.partial(case.paced, rate, scale)
    return case.limit(load) if loop is None else case.on(loop, load)


prepare = network.prepare
NAMES = {f"{name}, {rate:,}/s": name for name, rate in RATES.items()}
CASES = {label: functools.partial(run, network.ALL[name], RATES[name]) for label, name in NAMES.items()}
LIMITS = {label for label, name in NAMES.items() if name in network.LIMITS}
METRICS = dict.fromkeys(CASES, (("p50", 1e6, "us"), ("p99", 1e6, "us")))
