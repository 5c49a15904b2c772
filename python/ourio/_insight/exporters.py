"""Metrics for others: Prometheus' text, and OpenTelemetry's instruments."""

import weakref
from collections.abc import Iterable
from typing import Any

from ourio._loop import EventLoop, Metrics


def prometheus(loops: Iterable[tuple[str, EventLoop]]) -> str:
    """What only Python can count, as Prometheus' text; the monitor has the rest."""
    rows: dict[str, list[str]] = {"tasks": [], "executor_threads": [], "executor_queue": [], "stalls_total": []}
    for name, loop in loops:
        metrics = loop.metrics()
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
    reference = weakref.ref(loop)

    def observed(value: Any, **attributes: str) -> Any:
        return api.Observation(value, attributes)

    def observe(pick: Any) -> Any:
        def observations(_options: Any) -> Any:
            alive = reference()
            return [] if alive is None or alive.is_closed() else pick(alive.metrics())

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
