"""``Answers``: what only Python's objects know, told to who asks the monitor: tasks, their sites, why they wait."""

import asyncio
import base64
import json
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

from ourio._insight import exporters, program, waits
from ourio._insight.recorder import FlightRecorder
from ourio._insight.tasks.registry import TaskRegistry
from ourio._loop import EventLoop

# So many tasks are described in an answer, and looked at for who holds what.
_TASKS_MAX = 1000
_LOOKED_MAX = 5000
# A task waits for one that waits for one: told up to here.
_WHY_MAX = 50


class Answers:
    """Answers questions about loops, in any thread.

    Args:
        loops: The loops by their names; changes while loops come and go.
        registries: Where the tasks of some of them are noted.
    """

    def __init__(self, loops: Mapping[str, "weakref.ref[EventLoop]"], registries: Mapping[str, TaskRegistry]) -> None:
        self._loops, self._registries = loops, registries
        # Those that a question has started.
        self._recorders: list[FlightRecorder] = []

    def answer(self, name: str, argument: str) -> str:
        """What is told of a question by its name, as JSON or, of metrics, as Prometheus' text."""
        match name:
            case "tasks":
                return json.dumps(self._tasks())
            case "sites":
                return json.dumps(self._sites())
            case "why":
                return json.dumps(self._why(argument))
            case "trace":
                return json.dumps(self._trace(argument))
            case "metrics":
                return exporters.prometheus(self._living())
            case _:
                return json.dumps({"error": f"there is no answer to {name!r}"})

    def _living(self) -> list[tuple[str, EventLoop]]:
        found = [(name, loop()) for name, loop in list(self._loops.items())]
        return [(name, loop) for name, loop in found if loop is not None]

    def _all_tasks(self) -> Iterator[tuple[str, "asyncio.Task[Any]"]]:
        for name, loop in self._living():
            for task in asyncio.all_tasks(loop):
                yield name, task

    def _tasks(self) -> dict[str, Any]:
        everything = list(self._all_tasks())
        noted: dict[int, Any] = {}
        for registry in list(self._registries.values()):
            noted.update(registry.notes())
        if noted:
            everything.sort(key=lambda one: -noted[id(one[1])][1] if id(one[1]) in noted else 0.0)
        held = waits.owners([task for _, task in everything[:_LOOKED_MAX]])
        told = [_described(name, task, held, noted.get(id(task))) for name, task in everything[:_TASKS_MAX]]
        return {"total": len(everything), "tasks": told}

    def _sites(self) -> dict[str, Any]:
        found = []
        for registry in list(self._registries.values()):
            registry.look()
            for site in registry.sites()[:100]:
                place = site.place
                found.append(
                    {
                        "file": place.filename,
                        "line": place.lineno,
                        "function": place.function,
                        "live": site.live,
                        "created": site.created,
                        "rate": site.rate,
                        "oldest": site.oldest,
                    }
                )
        return {"noted": bool(self._registries), "sites": found}

    def _trace(self, argument: str) -> dict[str, Any]:
        """Begin to record, or tell what was recorded: of each loop."""
        for _, loop in self._living():
            if argument == "start" and not loop._is_recording:
                recorder = FlightRecorder(loop)
                recorder.start()
                self._recorders.append(recorder)
        if argument == "start":
            return {"recording": [name for name, _ in self._living()]}
        traces = {}
        for name, loop in self._living():
            traced = loop._trace(program.name(), name)
            if traced is not None:
                traces[name] = {"trace": base64.b64encode(traced[0]).decode(), "lost": traced[1]}
        if argument == "stop":
            for recorder in self._recorders:
                recorder.stop()
            self._recorders.clear()
        return {"traces": traces}

    def _why(self, wanted: str) -> dict[str, Any]:
        """What a task waits for, what that waits for, and so on."""
        everything = list(self._all_tasks())
        held = waits.owners([task for _, task in everything[:_LOOKED_MAX]])
        names = {task: name for name, task in everything}
        task = next((one for _, one in everything if one.get_name() == wanted or str(id(one)) == wanted), None)
        if task is None:
            return {"error": f"there is no task {wanted!r}"}
        chain: list[dict[str, Any]] = []
        seen = set()
        while task is not None and task not in seen and len(chain) < _WHY_MAX:
            seen.add(task)
            told = _described(names.get(task, "?"), task, held, None)
            told["stack"] = [str(place) for place in waits.stack(task)]
            chain.append(told)
            following = [other for other in waits.wait_of(task, held).tasks if not other.done()]
            task = following[0] if following else None
        return {"chain": chain, "circle": chain[0]["name"] if task is not None and task in seen else None}


def _described(
    loop: str, task: "asyncio.Task[Any]", held: dict[int, list["asyncio.Task[Any]"]], noted: Any
) -> dict[str, Any]:
    wait = waits.wait_of(task, held)
    place = waits.place(task)
    created, age = noted if noted is not None else (None, None)
    coroutine: Any = task.get_coro()
    return {
        "id": id(task),
        "loop": loop,
        "name": task.get_name(),
        "coroutine": getattr(coroutine, "__qualname__", type(coroutine).__name__),
        "state": "waiting" if wait.kind != "nothing" else "ready",
        "waits_for": wait.text,
        "kind": wait.kind,
        "held_by": [id(other) for other in wait.tasks],
        "is_held": wait.is_held,
        "holders": [other.get_name() for other in wait.tasks],
        "age": age,
        "file": place.filename if place else None,
        "line": place.lineno if place else None,
        "function": place.function if place else None,
        "created": f"{created.filename}:{created.lineno}" if created else None,
    }
