"""Real programs against real servers, on stock asyncio and on Ourio: ``cargo xtask ecosystem``.

Each program of ``examples/programs`` checks its own results and ends with a line that says how many. It runs
as it is with ``python`` and with ``python -m ourio``, and must say the same on both. ``uvloop`` stands for
uvloop's own tests, from its source package.
"""

import argparse
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import time

import servers
import uvloop_tests

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = {path.stem: path for path in ROOT.glob("examples/programs/*/*.py")}
# Seconds that a program may take; the slowest takes some 15.
LIMIT = 240
# Which servers a program talks to.
NEEDS = {
    "asyncpg_queries": ["postgres"],
    "psycopg_pool_queries": ["postgres"],
    "redis_client": ["redis"],
    "sqlalchemy_orm": ["postgres"],
}
# What asyncio, or insight (with OURIO_DEADLOCK=report and OURIO_MONITOR=tasks), says of a program that is not well.
COMPLAINTS = (
    "never retrieved",
    "was never awaited",
    "Exception in callback",
    "Task was destroyed",
    "deadlock (",
    "nobody has asked for it",
    "tasks of one line are alive",
)
LAST_LINE = re.compile(r"^(\d+) checks on (\S+)$")


def run_program(name, loop, environment, keep):
    """Run one program; how many things it checked. RuntimeError with its output if it fails."""
    command = [sys.executable, *(["-m", "ourio"] if loop == "ourio" else []), str(PROGRAMS[name])]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            env=environment,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = "".join((part or b"").decode(errors="replace") for part in (late.stdout, late.stderr))
        raise RuntimeError(f"no end after {LIMIT} s\n{said[-4000:]}") from None
    (keep / f"{name}-{loop}.log").write_text(done.stdout + done.stderr)
    last = LAST_LINE.match((done.stdout.strip().splitlines() or [""])[-1])
    if done.returncode != 0 or last is None:
        raise RuntimeError(f"exit status {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}")
    expected = "ourio" if loop == "ourio" else "asyncio"
    if not last[2].startswith(expected):
        raise RuntimeError(f"it ran on {last[2]}, not on {expected}")
    for complaint in COMPLAINTS:
        if complaint in done.stderr:
            raise RuntimeError(f"it complains:\n{done.stderr[-4000:]}")
    return int(last[1])


def main():
    names = sorted(PROGRAMS)
    parser = argparse.ArgumentParser(prog="cargo xtask ecosystem", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"out of {', '.join([*names, 'uvloop'])}")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for logs and downloads", required=True)
    options = parser.parse_args()
    keep = options.keep
    keep.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in [*names, "uvloop"] if not options.names or any(o in name for o in options.names)]
    if not wanted:
        sys.exit(f"no such program; there are {', '.join([*names, 'uvloop'])}")
    failures = []
    with contextlib.ExitStack() as stack:
        environment = {**os.environ}
        needed = {server for name in wanted for server in NEEDS.get(name, [])}
        if "postgres" in needed:
            environment["POSTGRES_URL"] = stack.enter_context(servers.postgres(keep))
        if "redis" in needed:
            tcp, unix = stack.enter_context(servers.redis(keep))
            environment |= {"REDIS_URL": tcp, "REDIS_UNIX_URL": unix}
        for name in wanted:
            if name == "uvloop":
                continue
            counts = {}
            for loop in ("asyncio", "ourio"):
                started = time.monotonic()
                try:
                    counts[loop] = run_program(name, loop, environment, keep)
                except RuntimeError as error:
                    failures.append(f"{name} on {loop}")
                    print(f"FAILED {name} on {loop}: {error}", flush=True)
                else:
                    took = time.monotonic() - started
                    print(f"{name:20} {loop:8} {counts[loop]:4} checks {took:6.1f} s", flush=True)
            if len(set(counts.values())) > 1:
                failures.append(f"{name}: {counts}")
                print(f"FAILED {name}: different numbers of checks: {counts}", flush=True)
    if "uvloop" in wanted:
        failures += uvloop_tests.run(keep)
    verdict = f"FAILED: {', '.join(failures)}" if failures else "ok"
    print(f"ecosystem on {sys.version.split()[0]}: {len(wanted)} programs: {verdict}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
