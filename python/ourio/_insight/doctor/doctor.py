"""``ourio doctor``: runs a program with everything on, and ends with what is wrong with it, where, and what helps.

What the watchers tell is gathered by line: a line that blocks a thousand times is one finding.
"""

import asyncio
import json
import linecache
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from ourio._insight import places
from ourio._insight.deadlock import Deadlock, DeadlockError, DeadlockWatch
from ourio._insight.places import Place
from ourio._insight.shutdown import ShutdownWatch, SlowShutdown
from ourio._insight.stalls import watchdog
from ourio._insight.stalls.watchdog import Stall, Watchdog
from ourio._insight.tasks import forgotten
from ourio._insight.tasks.forgotten import ForgottenAwait
from ourio._insight.tasks.registry import Flood, LostException, TaskBook
from ourio._loop import EventLoop

_REMEDIES = {
    watchdog.PYTHON: "move the computation to a process (loop.run_in_executor with a ProcessPoolExecutor), or let"
    " others run in between (await asyncio.sleep(0)).",
    watchdog.CALL: "use the asynchronous call instead (asyncio.sleep, streams, an asyncio client), or run it in a"
    " thread: await asyncio.to_thread(...).",
    watchdog.LOCK: "a lock of threading blocks the whole loop: use asyncio.Lock, or take it in a thread.",
    watchdog.GIL: "another thread keeps the interpreter's lock: move its work to another process.",
    watchdog.COLLECTION: "make fewer objects that live long and refer to each other, or gc.freeze() after the start.",
    watchdog.DESCHEDULED: "the machine has too little CPU for this process.",
    watchdog.UNKNOWN: "look at the stack, and move what blocks into a thread or a process.",
}
_NATIVE_KEEPS = "this native code keeps the interpreter's lock, so a thread does not help: run it in another process."
_NATIVE_SHARES = "run it in a thread: await asyncio.to_thread(...); it lets go of the interpreter's lock."
_DEADLOCK = "bound what may never happen: async with asyncio.timeout(...)."
_DEADLOCKS = {
    "lock": "take locks in one order everywhere, and hold none over a wait for somebody who needs it.",
    "semaphore": "hold no place of a semaphore over a wait for somebody who needs one.",
    "queue": "tell the other side when there is nothing more: a last item, task_done, or Queue.shutdown (3.13).",
    "task": "let no two tasks wait for each other's end; pass results through a future or a queue.",
    "event": "set the event on every way out of who is to set it, also when that fails.",
    "future": "set the future on every way out of who is to set it, also when that fails.",
}
_LOST = "asyncio: exceptions of a task are seen by who awaits it: await it, use a TaskGroup, or a done callback."


@dataclass
class Finding:
    """One thing that is wrong with a program.

    Attributes:
        kind: ``"stall"``, ``"deadlock"``, ``"lost exception"``, ``"forgotten await"``, ``"flood"``,
            ``"destroyed task"`` or ``"slow shutdown"``.
        text: What was seen.
        filename: The file; ``None`` if no line is to blame.
        lineno: The line.
        function: The function.
        cause: Of a stall, its cause.
        remedy: One sentence on what helps.
        count: How often it was seen.
        seconds: How long it took in all, where that has a meaning.
    """

    kind: str
    text: str
    filename: str | None
    lineno: int | None
    function: str | None
    remedy: str
    cause: str = ""
    count: int = 1
    seconds: float = 0.0


class Doctor:
    """Watches every loop that it is attached to, and gathers what is found.

    Args:
        threshold: Seconds that a turn may take.
        shutdown: Seconds that the end of the program may take.
    """

    def __init__(self, threshold: float = 0.1, shutdown: float = 1.0) -> None:
        self._threshold, self._shutdown = threshold, shutdown
        self._findings: dict[tuple[Any, ...], Finding] = {}
        self._changing = threading.Lock()
        self._books: list[TaskBook] = []
        self._began = time.monotonic()

    def start(self) -> None:
        """Begin to listen to what no loop tells."""
        forgotten.listen(self._see_forgotten)

    def stop(self) -> None:
        """Listen no more. What the loops' tasks left is looked at for the last time."""
        for book in self._books:
            book.look(at_end=True)
        forgotten.unlisten(self._see_forgotten)

    def attach(self, loop: EventLoop) -> None:
        """Watch a loop, until it is closed."""
        book = TaskBook(loop, self._see_lost, self._see_flood)
        self._books.append(book)
        loop._origin_depth = forgotten.DEPTH
        loop._report_listener = lambda context: self._see_report(book, context)
        book.start()
        Watchdog(loop, self._threshold, self._see_stall, logs=False).start()
        DeadlockWatch(loop, "raise", self._see_deadlock, logs=False).start()
        ShutdownWatch(loop, self._see_shutdown, self._shutdown).start()

    def findings(self) -> list[Finding]:
        """What was found, the worst first."""
        order = ("deadlock", "lost exception", "destroyed task", "forgotten await", "stall", "flood", "slow shutdown")
        with self._changing:
            found = list(self._findings.values())
        return sorted(found, key=lambda finding: (order.index(finding.kind), -finding.seconds))

    def report(self, file: TextIO | None = None) -> None:
        """Write what was found for people; to the standard error stream by default."""
        file = file or sys.stderr
        found, took = self.findings(), time.monotonic() - self._began
        print(f"\nourio doctor: {_counted(len(found))} in {took:.1f} s", file=file)
        for number, finding in enumerate(found, 1):
            print(f"\n{number}. {finding.kind}: {finding.text}", file=file)
            if finding.filename is not None:
                line = linecache.getline(finding.filename, finding.lineno or 0).strip()
                print(f'   at "{finding.filename}", line {finding.lineno}, in {finding.function}', file=file)
                if line:
                    print(f"      {line}", file=file)
            print(f"   remedy: {finding.remedy}", file=file)

    def as_json(self) -> str:
        """What was found, for programs: a list of objects with the attributes of :class:`Finding`."""
        return json.dumps([asdict(finding) for finding in self.findings()], indent=1)

    def _add(self, key: tuple[Any, ...], finding: Finding) -> None:
        with self._changing:
            known = self._findings.get(key)
            if known is None:
                self._findings[key] = finding
                return
            known.count += finding.count
            known.seconds += finding.seconds
            known.text = finding.text

    def _see_stall(self, stall: Stall) -> None:
        if not stall.over:
            # Its end tells all of it; a program that ends while it is blocked has none.
            return
        remedy = _REMEDIES.get(stall.cause) or (_NATIVE_KEEPS if "with the GIL" in stall.detail else _NATIVE_SHARES)
        with self._changing:
            key = ("stall", stall.filename, stall.lineno)
            known = self._findings.get(key)
            count, seconds = (known.count, known.seconds) if known else (0, 0.0)
        cause = stall.cause + (f" ({stall.detail})" if stall.detail else "")
        times = stall.repeated + 1
        who = f"task {stall.task!r}" if stall.task else "a callback"
        text = (
            f"the loop was blocked {_times(count + times)}, {seconds + stall.duration:.2f} s in all: {cause}, in {who}"
        )
        self._add(
            key,
            Finding(
                "stall",
                text,
                stall.filename,
                stall.lineno,
                stall.function,
                remedy,
                cause=stall.cause,
                count=times,
                seconds=stall.duration,
            ),
        )

    def _see_deadlock(self, deadlock: Deadlock) -> None:
        key = ("deadlock", *sorted(task.name for task in deadlock.tasks))
        if key in self._findings:
            # The same one, raised again while the program is cleaned up.
            return
        blamed = next((task for task in deadlock.tasks if task.is_held), None)
        blamed = blamed or next((task for task in deadlock.tasks if not task.held_by), deadlock.tasks[0])
        self._add(
            key,
            Finding(
                "deadlock",
                str(deadlock).partition(": ")[2].replace("\n", "\n   "),
                blamed.filename,
                blamed.lineno,
                blamed.function,
                _DEADLOCKS.get(blamed.kind, _DEADLOCK),
                cause=deadlock.grade,
            ),
        )

    def _see_lost(self, lost: LostException) -> None:
        place = lost.failed_at or lost.created_at
        created = f"; the task was created at {lost.created_at}" if lost.created_at else ""
        text = f"task {lost.name!r} failed with {lost.exception}, and nobody asked for it{created}"
        self._add(("lost", place), _finding("lost exception", text, place, _LOST))

    def _see_flood(self, flood: Flood) -> None:
        remedy = "bound how many run at a time: a Semaphore around the work, or a Queue with a few workers."
        self._add(("flood", flood.site), _finding("flood", str(flood).partition(", at ")[0], flood.site, remedy))

    def _see_forgotten(self, told: ForgottenAwait) -> None:
        text = f"coroutine {told.coroutine!r} was never awaited" + (f", in task {told.task!r}" if told.task else "")
        remedy = "await it, or make a task of it: asyncio.create_task(...)."
        self._add(
            ("forgotten", told.created_at, told.coroutine), _finding("forgotten await", text, told.created_at, remedy)
        )

    def _see_shutdown(self, slow: SlowShutdown) -> None:
        place = next((place for _, place in slow.holders if place is not None), None)
        remedy = "end tasks when they are cancelled, and tell threads to stop before the program ends."
        finding = _finding("slow shutdown", str(slow), place, remedy)
        finding.seconds = slow.duration
        with self._changing:
            # The last word is the whole time.
            self._findings["shutdown", place] = finding

    def _see_report(self, book: TaskBook, context: dict[str, Any]) -> None:
        """What asyncio reports to the loop's exception handler."""
        message, task = context.get("message") or "", context.get("task") or context.get("future")
        exception = context.get("exception")
        if message == "Task was destroyed but it is pending!" and isinstance(task, asyncio.Task):
            if any(key[0] == "deadlock" for key in tuple(self._findings)):
                # What was in a deadlock cannot end in any other way.
                return
            place = book.created_at(task)
            remedy = "keep a reference to a task for as long as it is to run: the loop itself keeps none."
            self._add(
                ("destroyed", place),
                _finding("destroyed task", f"task {task.get_name()!r} was dropped while it waited", place, remedy),
            )
        elif message.endswith("exception was never retrieved") and exception is not None:
            place = places.of_traceback(exception.__traceback__)
            name = f"task {task.get_name()!r}" if isinstance(task, asyncio.Task) else "a future"
            text = f"{name} failed with {exception!r}, and nobody asked for it"
            self._add(("lost", place), _finding("lost exception", text, place, _LOST))


def run(script: Callable[[], object], threshold: float, shutdown: float, json_to: TextIO | None) -> int:
    """Run a program under the doctor.

    Args:
        script: Runs the program.
        threshold: Seconds that a turn may take.
        shutdown: Seconds that the end of the program may take.
        json_to: Where the findings are written for programs.

    Returns:
        0 if nothing was found, else 1; what the program raised is printed, and 1 too.
    """
    from ourio import _runner

    doctor = Doctor(threshold, shutdown)
    doctor.start()
    _runner.attach = doctor.attach
    failed = False
    try:
        script()
    except SystemExit as exit_:
        failed = exit_.code not in (None, 0)
        if isinstance(exit_.code, str):
            print(exit_.code, file=sys.stderr)
    except KeyboardInterrupt:
        failed = True
    except BaseException as error:
        failed = True
        # A deadlock is a finding already.
        if not isinstance(error, DeadlockError):
            traceback.print_exc()
    finally:
        _runner.attach = None
        doctor.stop()
    doctor.report()
    if json_to is not None:
        print(doctor.as_json(), file=json_to)
    return 1 if failed or doctor.findings() else 0


def _finding(kind: str, text: str, place: Place | None, remedy: str) -> Finding:
    if place is None:
        return Finding(kind, text, None, None, None, remedy)
    return Finding(kind, text, place.filename, place.lineno, place.function, remedy)


def _counted(number: int) -> str:
    return "nothing found" if number == 0 else f"{number} finding" + ("s" if number > 1 else "")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
