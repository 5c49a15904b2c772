"""A tour of Ourio, side by side with stock asyncio: ``cargo xtask demo [-- --quick]``.

Four stops: the concepts of asyncio, a real web service, waiting as coroutines and as threads, and a million
sleepers. Each runs in processes of its own, on both loops; the tour ends with a table.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LOOPS = ("asyncio", "ourio")
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(text, code):
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


def headline(text):
    print(f"\n{paint(text, '1;36')}\n{paint('-' * len(text), '36')}", flush=True)


class Progress:
    """Shows on a terminal that something is still going on."""

    def __init__(self, text):
        self.text = text
        self.ended = threading.Event()

    def __enter__(self):
        if COLOUR:
            self.thread = threading.Thread(target=self.turn)
            self.thread.start()
        else:
            print(f"  {self.text} ...", flush=True)

    def turn(self):
        started = time.monotonic()
        while not self.ended.wait(0.1):
            print(f"\r  {self.text} {time.monotonic() - started:5.1f} s", end="", flush=True)
        print("\r\x1b[K", end="", flush=True)

    def __exit__(self, *exc):
        self.ended.set()
        if COLOUR:
            self.thread.join()


def run(script, *arguments):
    """Runs one of the examples in a process of its own and returns what it printed."""
    command = [sys.executable, "-W", "ignore", os.path.join(HERE, script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{script} {' '.join(map(str, arguments))} failed:\n{done.stderr}")
    return done.stdout


def measure(text, script, *arguments):
    with Progress(text):
        return json.loads(run(script, *arguments))


def concepts(table):
    headline("1. The concepts of asyncio")
    printed, seconds = {}, {}
    for loop in LOOPS:
        with Progress(f"sixteen programs on {loop}"):
            started = time.perf_counter()
            printed[loop] = run("scenarios.py", loop)
            seconds[loop] = time.perf_counter() - started
    for line in printed["ourio"].splitlines():
        title = line[:2].strip().isdigit() and line[2:4] == ". "
        print(paint(line, "1") if title else f"      {line}")
    same = printed["asyncio"] == printed["ourio"]
    print(paint("  Ourio prints exactly what asyncio prints.", "32") if same else paint("  THE OUTPUTS DIFFER.", "31"))
    table.append(("concepts, all together", seconds["asyncio"], seconds["ourio"], "s"))
    return same


def web_service(table, requests):
    headline(f"2. A web service: FastAPI on uvicorn, {requests:,} requests from 50 clients")
    outcomes = {loop: measure(f"asking on {loop}", "web_service.py", loop, requests) for loop in LOOPS}
    for loop, outcome in outcomes.items():
        rate = outcome["requests"] / outcome["seconds"]
        print(f"  {loop:8} {outcome['correct']:,} of {outcome['requests']:,} correct, {rate:8,.0f} requests/s")
    table.append((f"{requests:,} requests", *(outcomes[loop]["seconds"] for loop in LOOPS), "s"))
    return all(outcome["correct"] == requests for outcome in outcomes.values())


def coroutines_and_threads(table, count):
    headline(f"3. {count:,} units of 1 ms I/O: as coroutines, and as threads")
    outcomes = {loop: measure(f"coroutines on {loop}", "many_units.py", loop, "coroutines", count) for loop in LOOPS}
    outcomes["threads"] = measure("threads", "many_units.py", "asyncio", "threads", count)
    for name, outcome in outcomes.items():
        print(f"  {name:8} {outcome['seconds']:6.3f} s, {outcome['bytes_per_unit']:8,.0f} bytes each")
    table.append((f"{count:,} units of 1 ms", *(outcomes[loop]["seconds"] for loop in LOOPS), "s"))


def sleepers(table, count):
    headline(f"4. {count:,} coroutines asleep at once, on one thread")
    outcomes = {loop: measure(f"sleeping on {loop}", "many_units.py", loop, "sleepers", count) for loop in LOOPS}
    for loop, outcome in outcomes.items():
        print(f"  {loop:8} {outcome['seconds']:6.2f} s of work, {outcome['bytes_per_unit']:,.0f} bytes per coroutine")
    table.append((f"{count:,} sleepers, work", *(outcomes[loop]["seconds"] for loop in LOOPS), "s"))
    table.append((f"{count:,} sleepers, each", *(outcomes[loop]["bytes_per_unit"] for loop in LOOPS), "bytes"))


def show(table):
    headline("Both loops, side by side")
    print(f"  {'scenario':28} {'asyncio':>12} {'Ourio':>12}   {'ratio':>6}")
    for name, stock, ours, unit in table:
        digits = 0 if unit == "bytes" else 3
        ratio = paint(f"{stock / ours:5.2f}x", "32" if ours <= stock else "33")
        print(f"  {name:28} {stock:12,.{digits}f} {ours:12,.{digits}f}   {ratio} {unit}")
    print("\n  A ratio above 1 is Ourio's gain. One run each: see `cargo xtask bench` for medians.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small numbers: seconds instead of a minute")
    parser.add_argument("--requests", type=int, help="requests to the web service (5,000)")
    parser.add_argument("--units", type=int, help="units of 1 ms I/O (10,000)")
    parser.add_argument("--sleepers", type=int, help="coroutines asleep at once (1,000,000)")
    chosen = parser.parse_args()
    small = chosen.quick
    table = []
    good = concepts(table)
    good &= web_service(table, chosen.requests or (500 if small else 5000))
    coroutines_and_threads(table, chosen.units or (1000 if small else 10_000))
    sleepers(table, chosen.sleepers or (20_000 if small else 1_000_000))
    show(table)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
