"""Tests that others wrote, on Ourio and on the loop that they were written for.

``cargo xtask conformance`` runs the interpreter's own ``test.test_asyncio``; ``cargo xtask ecosystem uvloop``
runs uvloop's tests. Every file runs in a process of its own, once with Ourio's loop put wherever the tests
make one (``swap_asyncio.py``, ``swap_uvloop.py``) and once untouched, as control. A test that ends its
process or does not end within the limit counts as failed, and the rest of its file goes on in a new process.

A test that passes on the control must pass on Ourio, unless the suite's expectations say otherwise; what they
say must be true. As CPython's own runner does, a test that fails is run once more, alone, on an idle machine: some
of these tests measure time. It is named if it passes then.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import importlib.util
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
import tomllib

HERE = pathlib.Path(__file__).parent
BAD = {"fail", "hang", "crash"}
# More failures than this are no accident.
AGAIN_MAX = 10
# Seconds. The longest test of CPython's takes 20 on an idle machine; a hang is what takes for ever.
LIMIT = 60
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclasses.dataclass
class Suite:
    """A package of tests, and what it was written for."""

    control: str
    package: str
    swap: str
    expectations: str
    kinds: set[str]
    # Files that test another system's loop.
    foreign: tuple[str, ...] = ()


SUITES = {
    "cpython": Suite(
        control="asyncio",
        package="test.test_asyncio",
        swap="swap_asyncio",
        expectations="expectations.toml",
        kinds={"white-box"},
        foreign=("windows", "proactor"),
    ),
    "uvloop": Suite(
        control="uvloop",
        package="tests",
        swap="swap_uvloop",
        expectations="expectations-uvloop.toml",
        kinds={"white-box", "libuv", "not-asyncio"},
    ),
}


@dataclasses.dataclass
class Outcome:
    """How a test ended: ``pass``, ``fail``, ``skip``, ``hang`` or ``crash``."""

    kind: str
    detail: str = ""


class Reader:
    """Lines from a pipe, with a limit on how long one may take."""

    def __init__(self, fd):
        self.fd = fd
        self.rest = b""

    def line(self, seconds):
        """The next line; None at the end. TimeoutError after so many seconds without one."""
        until = time.monotonic() + seconds
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.fd], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            chunk = os.read(self.fd, 65536)
            if not chunk:
                return None
            self.rest += chunk
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)


def run_process(suite, loop, module, outcomes, log):
    """Run what is left of a file. True if there may be more to run."""
    reading, writing = os.pipe()
    swap = suite.swap if loop == "ourio" else "-"
    command = [sys.executable, str(HERE / "worker.py"), swap, suite.package, module, str(writing), *outcomes]
    path = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    process = subprocess.Popen(
        command, pass_fds=[writing], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment
    )
    os.close(writing)
    reader = Reader(reading)
    running = None
    try:
        while True:
            event = reader.line(LIMIT)
            if event is None:
                break
            if event["event"] == "start":
                running = event["test"]
            elif event["event"] == "stop":
                running = None
            elif event["event"] == "outcome":
                earlier = outcomes.get(event["test"])
                if earlier is None or earlier.kind == "pass":
                    outcomes[event["test"]] = Outcome(event["outcome"], event["detail"])
            elif event["event"] == "end":
                return False
    except TimeoutError:
        if running is None:
            outcomes[f"{module} (between tests)"] = Outcome("hang", f"no end after {LIMIT} s")
            return False
        outcomes[running] = Outcome("hang", f"no end after {LIMIT} s")
        return True
    finally:
        os.close(reading)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
        status = process.wait()
    if running is None:
        # A module that is skipped ends without a word more.
        if status != 0:
            outcomes[f"{module} (between tests)"] = Outcome("crash", f"exit status {status}")
        return False
    outcomes[running] = Outcome("crash", f"exit status {status}")
    return True


def run_file(suite, loop, module, folder):
    """All outcomes of a file."""
    outcomes = {}
    with open(folder / f"{module}-{loop}.log", "w") as log:
        while run_process(suite, loop, module, outcomes, log):
            pass
    return outcomes


def expected(suite):
    """What the suite's expectations say for this version: test to entry."""
    with open(HERE / suite.expectations, "rb") as file:
        entries = tomllib.load(file).get("expected", [])
    for entry in entries:
        if entry["kind"] not in suite.kinds or not entry["reason"]:
            sys.exit(f"{suite.expectations}: {entry['test']}: a reason, and a kind of {sorted(suite.kinds)}")
    return {entry["test"]: entry for entry in entries if VERSION in entry.get("versions", [VERSION])}


def modules(suite):
    """The files of the suite that are about this system."""
    try:
        found = importlib.util.find_spec(suite.package)
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        if suite.control != "asyncio":
            sys.exit(f"{suite.package} is not on PYTHONPATH")
        sys.exit(
            f"{sys.executable} has no test package (test.test_asyncio). Distributions pack it apart: "
            "libpython3.X-testsuite on Debian, python3-test on Fedora; pyenv and python.org have it."
        )
    names = sorted(path.stem for path in pathlib.Path(found.origin).parent.glob("test_*.py"))
    return [name for name in names if not any(word in name for word in suite.foreign)]


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask conformance", description=__doc__.partition("\n")[0])
    parser.add_argument("only", nargs="*", help="files such as test_events, or tests of which this is a part")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="files at once")
    parser.add_argument("--suite", choices=list(SUITES), default="cpython")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for logs and outcomes", required=True)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    suite = SUITES[options.suite]
    names = modules(suite)
    files = [name for name in names if not options.only or any(only.startswith(name) for only in options.only)]
    if not files:
        sys.exit(f"no such file; there are {', '.join(names)}")
    started = time.monotonic()
    outcomes = {"ourio": {}, suite.control: {}}
    # The slowest first, so that none is left alone at the end.
    slow = {"test_ssl": 0, "test_events": 1, "test_sendfile": 2, "test_subprocess": 3, "test_tasks": 4}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = {
            pool.submit(run_file, suite, loop, name, options.keep): (loop, name)
            for name in sorted(files, key=lambda name: slow.get(name, 9))
            for loop in outcomes
        }
        for job in concurrent.futures.as_completed(jobs):
            loop, name = jobs[job]
            result = job.result()
            outcomes[loop].update(result)
            counts = collections.Counter(outcome.kind for outcome in result.values())
            said = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
            print(f"{time.monotonic() - started:6.1f} s  {loop:8}{name:28}{said}", flush=True)
    run_again(suite, outcomes, options)
    for loop, found in outcomes.items():
        text = json.dumps({test: dataclasses.asdict(outcome) for test, outcome in found.items()}, indent=1)
        (options.keep / f"{loop}.json").write_text(text)
    sys.exit(judge(suite, outcomes, options.only))


def run_again(suite, outcomes, options):
    """Run tests that fail on Ourio only once more, each in a process of its own."""
    ours, control = outcomes["ourio"], outcomes[suite.control]
    doubtful = [
        test
        for test, outcome in ours.items()
        if outcome.kind in BAD and control.get(test, Outcome("missing")).kind == "pass"
    ]
    for test in sorted(set(doubtful) - set(expected(suite)))[:AGAIN_MAX]:
        module = test.partition(".")[0]
        others = {name: outcome for name, outcome in ours.items() if name.startswith(f"{module}.")}
        del others[test]
        with open(options.keep / f"{test}.log", "w") as log:
            run_process(suite, "ourio", module, others, log)
        again = others.get(test, ours[test])
        if again.kind == "pass":
            print(f"passed when run again, alone: {test}, which had been: {ours[test].kind}", flush=True)
        ours[test] = again


def judge(suite, outcomes, only):
    """Print what differs; 1 if something does that is not expected."""

    def wanted(test):
        return not only or any(part.partition(".")[0] in test and part in test for part in only)

    expectations = {test: entry for test, entry in expected(suite).items() if wanted(test)}
    stock = outcomes[suite.control]
    ours = outcomes["ourio"]
    wrong = []
    for test, outcome in sorted(ours.items()):
        control = stock.get(test, Outcome("missing"))
        if not wanted(test) or outcome.kind not in BAD or control.kind in BAD or test in expectations:
            continue
        wrong.append(f"{test}: {outcome.kind}, on {suite.control} {control.kind}\n{indented(outcome.detail)}")
    missing = collections.Counter()
    for test, control in sorted(stock.items()):
        outcome = ours.get(test)
        if not wanted(test) or control.kind != "pass" or test in expectations:
            continue
        if outcome is None:
            missing[test.partition(".")[0]] += 1
        elif outcome.kind == "skip":
            wrong.append(f"{test}: skipped ({outcome.detail}), on {suite.control} pass")
    wrong += [f"{name}: {count} tests have not run" for name, count in missing.items()]
    for test in expectations:
        if test not in ours:
            if not only:
                wrong.append(f"{test}: expected to fail, but {VERSION} has no such test")
        elif ours[test].kind not in BAD:
            wrong.append(f"{test}: expected to fail, but the outcome is {ours[test].kind}: drop the entry")
    for text in wrong:
        print(f"\nDIFFERENT {text}")
    for loop, found in outcomes.items():
        failing = sorted(test for test, outcome in found.items() if outcome.kind in BAD and wanted(test))
        if loop != "ourio" and failing:
            print(f"\nfail on {loop}: " + ", ".join(failing))
    counts = {
        loop: collections.Counter(outcome.kind for test, outcome in found.items() if wanted(test))
        for loop, found in outcomes.items()
    }
    print()
    for loop, count in counts.items():
        print(f"{loop:8} " + ", ".join(f"{number} {kind}" for kind, number in sorted(count.items())))
    print(
        f"{suite.package} on {sys.version.split()[0]}: {len(expectations)} expected to fail, "
        f"{len(wrong)} different from {suite.control}: {'FAILED' if wrong else 'ok'}"
    )
    return 1 if wrong else 0


def indented(text):
    return "\n".join(f"    {line}" for line in text.splitlines())


if __name__ == "__main__":
    main()
