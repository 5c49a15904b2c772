"""What is said of tasks: an exception that nobody asks for, and a flood."""

import linecache
from dataclasses import dataclass

from ourio._insight.places import Place


@dataclass(frozen=True)
class LostException:
    """A task that failed, and whose exception nobody has asked for.

    Attributes:
        name: The task's name.
        exception: What it raised, as text.
        failed_at: The innermost line of the program's own code in its traceback.
        created_at: The line that made the task; ``None`` if it was made before it was noted.
        age: Seconds since it was seen to have failed.
    """

    name: str
    exception: str
    failed_at: Place | None
    created_at: Place | None
    age: float

    def __str__(self) -> str:
        text = f"task {self.name!r} failed {self.age:.0f} s ago with {self.exception}, and nobody has asked for it"
        if self.failed_at is not None:
            text += f": at {self.failed_at}"
        if self.created_at is not None:
            text += f"; the task was created at {self.created_at}"
        return text


@dataclass(frozen=True)
class Flood:
    """A line that makes tasks faster than they end.

    Attributes:
        site: The line.
        live: How many of its tasks are alive.
        created: How many it has made in all.
        rate: How many it made per second, lately.
        oldest: The age of its oldest task, in seconds.
        is_growth: Whether it grew for some time, rather than having passed the limit.
    """

    site: Place
    live: int
    created: int
    rate: float
    oldest: float
    is_growth: bool

    def __str__(self) -> str:
        why = "grows and grows" if self.is_growth else "is a flood"
        line = linecache.getline(self.site.filename, self.site.lineno).strip()
        return (
            f"{self.live} tasks of one line are alive, the oldest for {self.oldest:.1f} s, {self.rate:.0f} more per"
            f" second: that {why}, at {self.site}" + (f": {line}" if line else "")
        )
