"""The crate ``ourio`` beside tokio, smol and monoio: ``cargo xtask bench-rust [CASE ...]``.

Every run is a fresh process of ``ourio-bench-runtimes``; rounds of all runtimes are interleaved in rotating order. The
table has medians with their spread, and how tokio and the best of the others compare to Ourio: above 1, Ourio is ahead.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
BINARIES = HERE.parent / "target/release"
RUNTIMES = ("ourio", "tokio", "smol", "monoio", "monoio-uring")
NAMES = (*RUNTIMES, "epoll")
HTTP = ("ourio", "tokio")
RESULTS = HERE / "results/rust.json"

SCHEDULING = {
    "spawn and join": 0.5,
    "spawn 1,000 and join": 0.5,
    "yield x2": 0.3,
    "yield x100": 0.3,
    "1,000,000 sleepers": 1,
    "queue ping-pong": 0.3,
    "timer insert and cancel": 0.5,
    "50,000 timers firing": 1,
    "wake-up from a thread": 0.3,
    "call in a thread": 0.3,
}
ECHO = {f"echo 1 KiB x{connections}": connections for connections in (1, 10, 100, 1000)}


def scheduling(runtime, case, scale):
    """Nanoseconds per operation, and bytes per task."""
    command = [BINARIES / "ourio-bench-runtimes", runtime, case, str(SCHEDULING[case] * scale)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    nanos, size = map(float, done.stdout.split())
    return {"ns": nanos, **({"bytes": size} if size else {})}


class Server:
    """A server in a process of its own, and the CPU that it has used."""

    def __init__(self, *command):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, text=True, **pipes)
        self.port = self.process.stdout.readline().strip()
        if not self.port:
            self.process.wait()
            raise OSError(f"{command} does not serve")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def cpu(self):
        # The whole process: a runtime may have threads.
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def resident(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", status)[1])


def server(runtime, kind):
    if runtime == "epoll":
        return Server(BINARIES / "ourio-bench-native", "serve", "tcp")
    return Server(BINARIES / "ourio-bench-runtimes", runtime, kind, "1")


def echo(runtime, case, scale):
    connections = ECHO[case]
    count = max(connections * 10, int((50_000 if connections == 1 else 200_000) * scale))
    with server(runtime, "echo") as serving:
        command = [BINARIES / "ourio-bench-native", "load", "tcp", serving.port, connections, count, 1024]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([str(part) for part in command], text=True, **pipes) as client:
            client.stdout.readline()
            before = serving.cpu()
            said, _ = client.communicate("go\n")
            used = serving.cpu() - before
    elapsed, _, p99 = map(float, said.split())
    return {"cpu us": used / count * 1e6, "time us": elapsed * 1e6, "p99 us": p99 * 1e6}


def hello(runtime, case, scale):
    """hyper under wrk: 100 connections; every answer must be right."""
    seconds = max(2, round(6 * scale))
    with server(runtime, "hello") as serving:
        address = f"http://127.0.0.1:{serving.port}/"
        before, started = serving.cpu(), serving.resident()
        command = ["wrk", "-t1", "-c100", f"-d{seconds}s", "--latency", address]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        used, grown = serving.cpu() - before, serving.resident() - started
    requests = int(re.search(r"(\d+) requests in", said)[1])
    if "Non-2xx" in said or "Socket errors" in said:
        raise OSError(said)
    return {"cpu us": used / requests * 1e6, "time us": seconds / requests * 1e6, "grown KiB": grown}


CASES = {
    **dict.fromkeys(SCHEDULING, (scheduling, RUNTIMES)),
    **dict.fromkeys(ECHO, (echo, NAMES)),
    "hyper hello x100": (hello, HTTP),
}


def measure(case, rounds, scale):
    run, names = CASES[case]
    found = {name: [] for name in names}
    for turn in range(rounds):
        for offset in range(len(names)):
            name = names[(turn + offset) % len(names)]
            if found[name] is not None:
                try:
                    found[name].append(run(name, case, scale))
                except (OSError, subprocess.SubprocessError) as error:
                    print(f"{name} cannot do {case}: {error}")
                    found[name] = None
    return {name: rows for name, rows in found.items() if rows}


def show(case, found):
    rows = []
    for metric in found["ourio"][0]:
        values = {name: [row[metric] for row in each] for name, each in found.items()}
        medians = {name: statistics.median(each) for name, each in values.items()}
        row = {"case": case, "metric": metric, "values": values}
        own = medians["ourio"]
        if own > 0 and metric != "grown KiB":
            others = {name: median for name, median in medians.items() if name not in ("ourio", "epoll")}
            best = min(others, key=others.get)
            row |= {"best": best, "ratio": others[best] / own, "tokio": others["tokio"] / own}
            if "epoll" in medians:
                row["limit"] = medians["epoll"] / own
        rows.append(row)
        ratios = " ".join(f"{label} {row[key]:.2f}x" for label, key in LABELS if key in row)
        cells = "  ".join(f"{name} {medians[name]:,.4g} ({min(v):,.4g}..{max(v):,.4g})" for name, v in values.items())
        print(f"{case + ', ' + metric:36} {ratios:44} {cells}", flush=True)
    return rows


LABELS = (("tokio", "tokio"), ("best", "ratio"), ("epoll", "limit"))


def table(rows):
    """The rows as Markdown: medians, the fastest in bold."""
    names = [name for name in NAMES if any(name in row["values"] for row in rows)]
    lines = ["| case | " + " | ".join(names) + " | to tokio | to the best other |", "|---" * (len(names) + 3) + "|"]
    for row in rows:
        if "ratio" not in row:
            continue
        medians = {name: statistics.median(values) for name, values in row["values"].items()}
        best = min((name for name in medians if name != "epoll"), key=medians.get)
        shown = {name: f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for name, value in medians.items()}
        texts = [f"**{shown[name]}**" if name == best else shown.get(name, "-") for name in names]
        lines.append(
            f"| {row['case']} [{row['metric']}] | {' | '.join(texts)} | {row['tokio']:.2f}x |"
            f" {row['ratio']:.2f}x ({row['best']}) |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench-rust", description=__doc__.partition("\n")[0])
    parser.add_argument("only", nargs="*", help="parts of the names of cases")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each case's work is done")
    parser.add_argument("--quick", action="store_true", help="two rounds of a fifth of the work, not kept")
    parser.add_argument("--table", action="store_true", help="print what was kept as Markdown, and measure nothing")
    options = parser.parse_args()
    kept = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    if options.table:
        print(table(kept))
        return
    rounds, scale = (2, 0.2) if options.quick else (options.rounds, options.scale)
    rows = []
    for case in CASES:
        if options.only and not any(part in case for part in options.only):
            continue
        if CASES[case][0] is hello and not shutil.which("wrk"):
            print(f"{case}: wrk is not installed")
            continue
        rows += show(case, measure(case, rounds, scale))
    if rows and not options.quick:
        about = {"cpus": os.cpu_count(), "rounds": rounds, "when": time.strftime("%Y-%m-%d")}
        all_rows = {(row["case"], row["metric"]): row for row in [*kept, *({**row, **about} for row in rows)]}
        order = {case: place for place, case in enumerate(CASES)}
        sorted_rows = sorted(all_rows.values(), key=lambda row: order.get(row["case"], len(order)))
        RESULTS.write_text(json.dumps({"rows": sorted_rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
