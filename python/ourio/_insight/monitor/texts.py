"""The monitor's answers as text, for a terminal."""

import time
from typing import Any


def tasks(answer: dict[str, Any]) -> str:
    """A table of tasks."""
    rows = [("task", "age", "state", "waits for", "at")]
    for task in answer["tasks"]:
        rows.append((task["name"], _age(task["age"]), task["state"], _waits(task), _where(task)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    left = answer["total"] - len(answer["tasks"])
    return "\n".join(lines + ([f"and {left} more"] if left > 0 else []))


def tree(answer: dict[str, Any]) -> str:
    """Who waits for whom: below each task those that it waits for."""
    tasks = {task["id"]: task for task in answer["tasks"]}
    waited_for = {other for task in tasks.values() for other in task["held_by"]}
    lines: list[str] = []

    def branch(task: dict[str, Any], depth: int, path: tuple[int, ...]) -> None:
        mark = "  " * depth + ("└ " if depth else "")
        again = " (a circle)" if task["id"] in path else ""
        lines.append(f"{mark}{task['name']}: {_waits(task)}, at {_where(task)}{again}")
        if not again and depth < 50:
            for other in task["held_by"]:
                if other in tasks:
                    branch(tasks[other], depth + 1, (*path, task["id"]))

    shown: set[int] = set()

    def reach(task: dict[str, Any]) -> None:
        todo = [task["id"]]
        while todo:
            one = todo.pop()
            if one in tasks and one not in shown:
                shown.add(one)
                todo.extend(tasks[one]["held_by"])

    for task in tasks.values():
        if task["id"] not in waited_for:
            branch(task, 0, ())
            reach(task)
    for task in tasks.values():
        # What is left waits for each other.
        if task["id"] not in shown:
            branch(task, 0, ())
            reach(task)
    return "\n".join(lines) or "no tasks"


def why(answer: dict[str, Any]) -> str:
    """What a task waits for, and what that waits for."""
    lines = []
    for place, task in enumerate(answer["chain"]):
        lead = "" if place == 0 else "which "
        name = f"task {task['name']!r} " if place == 0 else ""
        holder = ""
        if task["holders"] and task["is_held"]:
            holder = f" held by task {task['holders'][0]!r}"
        elif task["kind"] == "tasks" and task["holders"]:
            holder = ": " + ", ".join(repr(name) for name in task["holders"][:10])
        lines.append(f"{lead}{name}waits for {task['waits_for']}{holder}")
        lines += [f"    at {where}" for where in task["stack"]]
    if answer["circle"] is not None:
        lines.append("and so on in a circle: none of them can go on")
    return "\n".join(lines)


def notes(notes: list[dict[str, Any]]) -> str:
    """What has happened, a line each."""
    lines = []
    for note in notes:
        when = time.strftime("%H:%M:%S", time.localtime(note["content"]["time"]))
        lines.append(f"{when} {note['kind']}: {note['content']['text']}")
    return "\n".join(lines) or "nothing has been reported"


def _waits(task: dict[str, Any]) -> str:
    if task["is_held"] and task["holders"]:
        return f"{task['waits_for']} held by {', '.join(map(repr, task['holders'][:3]))}"
    return str(task["waits_for"])


def _where(task: dict[str, Any]) -> str:
    return f"{task['file']}:{task['line']} {task['function']}" if task["file"] else "-"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
