"""``Doctor``: observes every loop of a program in every way, and gathers what is found.

What the observers tell is gathered by line: a line that blocks a thousand times is one finding.
"""

import asyncio
import json
import linecache
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TextIO

from ourio._insight import places, settings
from ourio._insight.deadlock import Deadlock, DeadlockError
from ourio._insight.deadlock.detector import DeadlockDetector
from ourio._insight.doctor import remedies
from ourio._insight.doctor.finding import Finding, finding_at
from ourio._insight.shutdown import ShutdownObserver, SlowShutdown
from ourio._insight.stalls import Stall, Watchdog
from ourio._insight.tasks import forgotten
from ourio._insight.tasks.forgotten import ForgottenAwait
from ourio._insight.tasks.registry import TaskRegistry
from ourio._insight.tasks.reports import Flood, LostException
from ourio._loop import EventLoop


class Doctor:
    """Observes every loop that it is attached to, and gathers what is found.

    Args:
        threshold: Seconds that a turn may take.
        shutdown: Seconds that the end of the program may take.
    """

    def __init__(self, threshold: float = 0.1, shutdown: float = 1.0) -> None:
        self._threshold, self._shutdown = threshold, shutdown
        self._findings: dict[tuple[Any, ...], Finding] = {}
        self._changing = threading.Lock()
        self._registries: list[TaskRegistry] = []
        self._began = time.monotonic()

    def start(self) -> None:
        """Begin to listen to what no loop tells."""
        forgotten.listen(self._see_forgotten)

    def stop(self) -> None:
        """Listen no more. What the loops' tasks left is looked at for the last time."""
        for registry in self._registries:
            registry.look(at_end=True)
        forgotten.unlisten(self._see_forgotten)

    def attach(self, loop: EventLoop) -> None:
        """Observe a loop, until it is closed."""
        registry = TaskRegistry(loop, self._see_lost, self._see_flood)
        self._registries.append(registry)
        loop._origin_depth = forgotten.DEPTH
        loop._report_listener = lambda context: self._see_report(registry, context)
        registry.start()
        Watchdog(loop, self._threshold, self._see_stall, logs=False).start()
        DeadlockDetector(loop, "raise", self._see_deadlock, logs=False).start()
        ShutdownObserver(loop, self._see_shutdown, self._shutdown).start()

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
                remedies.of_stall(stall),
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
                remedies.of_deadlock(blamed.kind),
                cause=deadlock.grade,
            ),
        )

    def _see_lost(self, lost: LostException) -> None:
        place = lost.failed_at or lost.created_at
        created = f"; the task was created at {lost.created_at}" if lost.created_at else ""
        text = f"task {lost.name!r} failed with {lost.exception}, and nobody asked for it{created}"
        self._add(("lost", place), finding_at("lost exception", text, place, remedies.LOST_EXCEPTION))

    def _see_flood(self, flood: Flood) -> None:
        self._add(
            ("flood", flood.site), finding_at("flood", str(flood).partition(", at ")[0], flood.site, remedies.FLOOD)
        )

    def _see_forgotten(self, told: ForgottenAwait) -> None:
        text = f"coroutine {told.coroutine!r} was never awaited" + (f", in task {told.task!r}" if told.task else "")
        self._add(
            ("forgotten", told.created_at, told.coroutine),
            finding_at("forgotten await", text, told.created_at, remedies.FORGOTTEN_AWAIT),
        )

    def _see_shutdown(self, slow: SlowShutdown) -> None:
        place = next((place for _, place in slow.holders if place is not None), None)
        finding = finding_at("slow shutdown", str(slow), place, remedies.SLOW_SHUTDOWN)
        finding.seconds = slow.duration
        with self._changing:
            # The last word is the whole time.
            self._findings["shutdown", place] = finding

    def _see_report(self, registry: TaskRegistry, context: dict[str, Any]) -> None:
        """What asyncio reports to the loop's exception handler."""
        message, task = context.get("message") or "", context.get("task") or context.get("future")
        exception = context.get("exception")
        if message == "Task was destroyed but it is pending!" and isinstance(task, asyncio.Task):
            if any(key[0] == "deadlock" for key in tuple(self._findings)):
                # What was in a deadlock cannot end in any other way.
                return
            place = registry.created_at(task)
            self._add(
                ("destroyed", place),
                finding_at(
                    "destroyed task",
                    f"task {task.get_name()!r} was dropped while it waited",
                    place,
                    remedies.DESTROYED_TASK,
                ),
            )
        elif message.endswith("exception was never retrieved") and exception is not None:
            place = places.of_traceback(exception.__traceback__)
            name = f"task {task.get_name()!r}" if isinstance(task, asyncio.Task) else "a future"
            text = f"{name} failed with {exception!r}, and nobody asked for it"
            self._add(("lost", place), finding_at("lost exception", text, place, remedies.LOST_EXCEPTION))


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
    doctor = Doctor(threshold, shutdown)
    doctor.start()
    settings.attach = doctor.attach
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
        settings.attach = None
        doctor.stop()
    doctor.report()
    if json_to is not None:
        print(doctor.as_json(), file=json_to)
    return 1 if failed or doctor.findings() else 0


def _counted(number: int) -> str:
    return "nothing found" if number == 0 else f"{number} finding" + ("s" if number > 1 else "")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
