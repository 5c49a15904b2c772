"""Deadlocks: every task waits, and nothing is there that could wake one.

Here is what is said of one; ``detector`` finds them.
"""

import linecache
from dataclasses import dataclass
from typing import Final, Literal

OnDeadlock = Literal["report", "raise", "ignore"]
CHOICES: Final = ("report", "raise", "ignore")

# So many tasks are written into a report.
_SHOWN_MAX = 50


@dataclass(frozen=True)
class StuckTask:
    """A task of a deadlock.

    Attributes:
        name: The task's name.
        waits_for: What it waits for, in words.
        kind: What that is: ``"task"``, ``"tasks"``, ``"lock"``, ``"event"``, ``"condition"``, ``"semaphore"``,
            ``"barrier"``, ``"queue"``, ``"future"``, or something of the system.
        held_by: The names of the tasks that hold it, or that it waits for.
        is_held: Whether they hold it.
        filename: The file of the innermost line of the program's own code that it is at; ``None`` if it has none.
        lineno: That line.
        function: Its function.
    """

    name: str
    waits_for: str
    kind: str
    held_by: tuple[str, ...] = ()
    is_held: bool = False
    filename: str | None = None
    lineno: int | None = None
    function: str | None = None

    def __str__(self) -> str:
        text = f"task {self.name!r} waits for {self.waits_for}"
        if self.held_by:
            text += (" held by " if self.is_held else ": ") + ", ".join(map(repr, self.held_by))
        if self.filename is not None:
            text += f', at "{self.filename}", line {self.lineno}, in {self.function}'
            line = linecache.getline(self.filename, self.lineno or 0).strip()
            text += f": {line}" if line else ""
        return text


@dataclass(frozen=True)
class Deadlock:
    """Tasks that cannot go on.

    Attributes:
        grade: ``"definite"``: nothing can wake any task of the loop. ``"probable"``: another thread could, but all wait
            for threads, and for two seconds none has moved. ``"circle"``: these tasks wait for each other, whatever
            the others do.
        tasks: The tasks: all of the loop, or those of the circle in their order.
        could_wake: What could wake the loop, in words, if it is probable.
    """

    grade: str
    tasks: tuple[StuckTask, ...]
    could_wake: tuple[str, ...] = ()

    def __str__(self) -> str:
        count = len(self.tasks)
        if self.grade == "circle":
            head = "a task waits for itself" if count == 1 else f"{count} tasks wait for each other"
        else:
            head = "the only task is asleep" if count == 1 else f"all {count} tasks are asleep"
            if self.could_wake:
                head += ", and can only be woken by " + ", ".join(self.could_wake)
            else:
                head += ", and nothing can wake them" if count > 1 else ", and nothing can wake it"
        lines = [f"deadlock ({self.grade}): {head}"]
        lines += [f"  {task}" for task in self.tasks[:_SHOWN_MAX]]
        if count > _SHOWN_MAX:
            lines.append(f"  and {count - _SHOWN_MAX} more")
        return "\n".join(lines)


class DeadlockError(RuntimeError):
    """All tasks of a loop are asleep and nothing can wake them; its ``deadlock`` is the :class:`Deadlock`."""

    def __init__(self, deadlock: Deadlock) -> None:
        super().__init__(str(deadlock))
        self.deadlock = deadlock
