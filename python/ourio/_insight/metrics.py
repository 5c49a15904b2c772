"""``Metrics``: what a loop has done, in numbers, and their way to OpenTelemetry.

Counters run from the loop's start and never go back; a share or a rate over some time is the difference of two
readings. Nothing is measured for them that the loop does not measure anyway.
"""

import asyncio
import time
import weakref
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from ourio._loop import EventLoop


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


def read(loop: EventLoop) -> Metrics:
    """Read a loop's metrics, from any thread."""
    counted = loop._counters()
    threads, queue = _executor(loop)
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
        tasks=len(asyncio.all_tasks(loop)),
        delay_p50=counted["delay"][0],
        delay_p99=counted["delay"][1],
        lag_p50=counted["lag"][0],
        lag_p99=counted["lag"][1],
        connections={kind: Connections(*counts) for kind, counts in counted["connections"].items()},
        executor_threads=threads,
        executor_queue=queue,
        stalls=dict(loop._stalls or {}),
    )


def _executor(loop: EventLoop) -> tuple[int, int]:
    executor: Any = getattr(loop, "_default_executor", None)
    if not isinstance(executor, ThreadPoolExecutor):
        return 0, 0
    return len(executor._threads), executor._work_queue.qsize()


def prometheus(loops: Iterable[tuple[str, EventLoop]]) -> str:
    """What only Python can count, as Prometheus' text; the monitor has the rest."""
    rows: dict[str, list[str]] = {"tasks": [], "executor_threads": [], "executor_queue": [], "stalls_total": []}
    for name, loop in loops:
        metrics = read(loop)
        label = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for family in ("tasks", "executor_threads", "executor_queue"):
            rows[family].append(f'ourio_{family}{{loop="{label}"}} {getattr(metrics, family)}')
        for cause, count in metrics.stalls.items():
            rows["stalls_total"].append(f'ourio_stalls_total{{loop="{label}",cause="{cause}"}} {count}')
    helps = {
        "tasks": ("gauge", "Tasks that are not done."),
        "executor_threads": ("gauge", "Threads of the default executor."),
        "executor_queue": ("gauge", "Jobs that wait for a thread of the default executor."),
        "stalls_total": ("counter", "Turns that took too long, by cause."),
    }
    lines = []
    for family, (kind, text) in helps.items():
        lines += [f"# HELP ourio_{family} {text}", f"# TYPE ourio_{family} {kind}", *rows[family]]
    return "\n".join(lines) + "\n"


def export_metrics(loop: EventLoop, meter_provider: Any = None) -> None:
    """Have OpenTelemetry observe a loop, until it is closed.

    The instruments are observable ones: they are read when the SDK exports, from its thread, and cost nothing in
    between. Their names begin with ``ourio.eventloop.``.

    Args:
        loop: The loop.
        meter_provider: A provider of OpenTelemetry's API; the global one by default.

    Raises:
        ModuleNotFoundError: The package ``opentelemetry-api`` is not installed.
    """
    from opentelemetry import metrics as api  # type: ignore[import-not-found,unused-ignore]

    meter = api.get_meter("ourio", meter_provider=meter_provider)
    watched = weakref.ref(loop)

    def observed(value: Any, **attributes: str) -> Any:
        return api.Observation(value, attributes)

    def observe(pick: Any) -> Any:
        def observations(_options: Any) -> Any:
            alive = watched()
            return [] if alive is None or alive.is_closed() else pick(read(alive))

        return [observations]

    def one(field: str) -> Any:
        return lambda metrics: [observed(getattr(metrics, field))]

    prefix = "ourio.eventloop."
    counter, level, gauge = (
        meter.create_observable_counter,
        meter.create_observable_up_down_counter,
        meter.create_observable_gauge,
    )
    for create, field, unit, text in (
        (counter, "busy", "s", "Time in which the loop ran something; the rest it slept."),
        (counter, "turns", "{turn}", "Turns of the loop."),
        (counter, "callbacks", "{callback}", "Callbacks and task steps run."),
        (counter, "io_events", "{event}", "Events of descriptors."),
        (counter, "timers_fired", "{timer}", "Timers that came due."),
        (level, "tasks", "{task}", "Tasks that are not done."),
        (level, "ready", "{callback}", "Callbacks that are ready."),
        (level, "timers", "{timer}", "Timers that wait."),
        (level, "descriptors", "{descriptor}", "Descriptors that are watched."),
        (level, "executor_threads", "{thread}", "Threads of the default executor."),
        (level, "executor_queue", "{job}", "Jobs that wait for a thread of the default executor."),
        (gauge, "delay_p50", "s", "How long half of what arrived waited at most for the loop."),
        (gauge, "delay_p99", "s", "How long 99 of 100 that arrived waited at most for the loop."),
        (gauge, "lag_p99", "s", "How late 99 of 100 timers were at most."),
    ):
        name = field.replace("_", ".") if create is gauge else field
        create(prefix + name, observe(one(field)), unit, text)
    for field, unit in (("received", "By"), ("sent", "By"), ("opened", "{connection}")):

        def by_kind(metrics: Metrics, field: str = field) -> Any:
            return [observed(getattr(moved, field), kind=kind) for kind, moved in metrics.connections.items()]

        meter.create_observable_counter(f"{prefix}connection.{field}", observe(by_kind), unit, f"{field}, by kind")
    meter.create_observable_counter(
        f"{prefix}stalls",
        observe(lambda metrics: [observed(count, cause=cause) for cause, count in metrics.stalls.items()]),
        "{stall}",
        "Turns that took too long, by cause.",
    )
