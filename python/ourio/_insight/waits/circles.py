"""Circles of tasks that wait for each other."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from ourio._insight.waits.entered import has_deadline, owners
from ourio._insight.waits.wait import Wait, wait_of


def cycles(pending: Iterable["asyncio.Task[Any]"]) -> list[list[tuple["asyncio.Task[Any]", Wait]]]:
    """Circles of tasks of which each waits for the next: none of them can ever go on, unless it is cancelled.

    A task that waits for any one of several tasks is in a circle only if there is one task alone. A semaphore blocks
    for good only if all that hold it do, so only one of a single holder counts.
    """
    pending = list(pending)
    held = owners(pending)
    edges: dict[asyncio.Task[Any], tuple[asyncio.Task[Any], ...]] = {}
    waits: dict[asyncio.Task[Any], Wait] = {}
    for task in pending:
        wait = wait_of(task, held)
        certain = (wait.needs_all or len(wait.tasks) == 1) and not has_deadline(task)
        waits[task] = wait
        edges[task] = tuple(other for other in wait.tasks if not other.done()) if certain else ()
    found = []
    finished: set[asyncio.Task[Any]] = set()
    for start in pending:
        path: list[asyncio.Task[Any]] = []
        on_path: dict[asyncio.Task[Any], int] = {}
        todo: list[tuple[asyncio.Task[Any], Iterator[asyncio.Task[Any]]]] = []
        if start not in finished:
            todo.append((start, iter(edges[start])))
            on_path[start] = 0
            path.append(start)
        while todo:
            task, rest = todo[-1]
            following = next(rest, None)
            if following is None:
                todo.pop()
                path.pop()
                del on_path[task]
                finished.add(task)
            elif following in on_path:
                found.append([(one, waits[one]) for one in path[on_path[following] :]])
            elif following in edges and following not in finished:
                on_path[following] = len(path)
                path.append(following)
                todo.append((following, iter(edges[following])))
    return found
