"""``Stall``: a time for which a loop could do nothing else, and what it is blocked by."""

import linecache
import traceback
from dataclasses import dataclass, field
from typing import Final

#: The causes of a stall.
PYTHON: Final = "Python code on the CPU"
NATIVE: Final = "native code on the CPU"
CALL: Final = "a system call"
LOCK: Final = "waiting for a lock"
GIL: Final = "waiting for the GIL"
COLLECTION: Final = "garbage collection"
DESCHEDULED: Final = "no processor to run on"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Stall:
    """A time for which a loop could do nothing else.

    Attributes:
        duration: Seconds so far, or in all.
        over: Whether it is over.
        cause: One of the causes: ``"Python code on the CPU"``, ``"native code on the CPU"``, ``"a system call"``,
            ``"waiting for a lock"``, ``"waiting for the GIL"``, ``"garbage collection"``, ``"no processor to run on"``
            or ``"unknown"``.
        detail: More of it, such as the system call, its descriptor and the peer; may be empty.
        task: The name of the task that blocks; ``None`` for a callback.
        filename: The file of the first frame of the program's own code; ``None`` if no stack could be had.
        lineno: Its line.
        function: Its function.
        stack: All frames, the innermost last; empty if none could be had.
        repeated: How many stalls of the same place went before without a report.
    """

    duration: float
    over: bool
    cause: str
    detail: str = ""
    task: str | None = None
    filename: str | None = None
    lineno: int | None = None
    function: str | None = None
    stack: traceback.StackSummary = field(default_factory=traceback.StackSummary, repr=False)
    repeated: int = 0

    def __str__(self) -> str:
        state = f"was blocked for {self.duration:.2f} s" if self.over else f"is blocked ({self.duration:.2f} s so far)"
        parts = [f"the event loop {state}: {self.cause}"]
        if self.detail:
            parts.append(f" ({self.detail})")
        parts.append(f", in task {self.task!r}" if self.task else ", in a callback")
        if self.filename:
            parts.append(f', at "{self.filename}", line {self.lineno}, in {self.function}')
            line = linecache.getline(self.filename, self.lineno or 0).strip()
            if line:
                parts.append(f": {line}")
        if self.repeated:
            parts.append(f" (and {self.repeated} time(s) before)")
        return "".join(parts)
