"""``Metrics``: what a loop has done, in numbers.

Counters run from the loop's start and never go back; a share or a rate over some time is the difference of two
readings. Nothing is measured for them that the loop does not measure anyway.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from ourio._loop.native import NativeLoop


@dataclass(frozen=True)
class Connections:
    """What the connections of one kind have moved.

    Attributes:
        open: How many are open.
        opened: How many were opened since the start.
        received: Bytes received since the start; of TLS those on the wire.
        sent: Bytes sent since the start.
    """

    open: int
    opened: int
    received: int
    sent: int


@dataclass(frozen=True)
class Metrics:
    """What a loop has done, at one moment.

    Attributes:
        time: When, by ``time.monotonic()``.
        busy: Seconds in which the loop ran something; the rest it slept. Utilisation is the difference of two readings'
            ``busy`` by that of their ``time``.
        turns: Turns of the loop.
        polls: Turns that asked the kernel for events.
        callbacks: Callbacks and task steps run.
        io_events: Events of descriptors.
        timers_fired: Timers that came due.
        threadsafe_calls: Callbacks that came from other threads.
        ready: Callbacks that are ready now.
        timers: Timers that wait now.
        descriptors: Descriptors that are watched now.
        tasks: Tasks that are not done.
        delay_p50: Seconds that half of what arrived waited at most for the loop, since the start, to a quarter.
        delay_p99: The same for 99 of 100.
        lag_p50: Seconds by which half of the timers were late at most.
        lag_p99: The same for 99 of 100.
        connections: By kind: ``"tcp"``, ``"unix"``, ``"tls"``, ``"udp"`` (which has bytes only).
        executor_threads: Threads of the default executor.
        executor_queue: Jobs that wait for one of them.
        stalls: How many stalls a watchdog has seen, by cause.
    """

    time: float
    busy: float
    turns: int
    polls: int
    callbacks: int
    io_events: int
    timers_fired: int
    threadsafe_calls: int
    ready: int
    timers: int
    descriptors: int
    tasks: int
    delay_p50: float
    delay_p99: float
    lag_p50: float
    lag_p99: float
    connections: dict[str, Connections]
    executor_threads: int
    executor_queue: int
    stalls: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The same as a dictionary."""
        return asdict(self)


class Metered(NativeLoop):
    """A loop whose metrics can be read."""

    #: How many stalls were seen, by cause.
    _stalls: dict[str, int] | None = None

    def metrics(self) -> Metrics:
        """Read what the loop has done, in numbers; from any thread, at any time.

        Returns:
            The numbers of this moment. A rate is the difference of two readings.
        """
        counted = self._counters()
        threads, queue = _executor(self)
        return Metrics(
            time=time.monotonic(),
            busy=counted["busy_ns"] / 1e9,
            turns=counted["turns"],
            polls=counted["polls"],
            callbacks=counted["ran"],
            io_events=counted["io_events"],
            timers_fired=counted["timers_fired"],
            threadsafe_calls=counted["inbox_received"],
            ready=counted["ready"],
            timers=counted["timers"],
            descriptors=counted["watched"],
            tasks=len(asyncio.all_tasks(self)),
            delay_p50=counted["delay"][0],
            delay_p99=counted["delay"][1],
            lag_p50=counted["lag"][0],
            lag_p99=counted["lag"][1],
            connections={kind: Connections(*counts) for kind, counts in counted["connections"].items()},
            executor_threads=threads,
            executor_queue=queue,
            stalls=dict(self._stalls or {}),
        )


def _executor(loop: NativeLoop) -> tuple[int, int]:
    executor: Any = getattr(loop, "_default_executor", None)
    if not isinstance(executor, ThreadPoolExecutor):
        return 0, 0
    return len(executor._threads), executor._work_queue.qsize()
