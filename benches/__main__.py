"""Loops side by side: ``cargo xtask bench [GROUP|CASE ...]``.

Every case runs in fresh processes, one per loop and round, in rotating order. The table has the median per
operation with its spread, and how the best of the others compares to Ourio: above 1, Ourio is ahead.
"""

import argparse
import importlib.util
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

import latency
import loops
import matrix
import network
import programs
import scheduling

GROUPS = {"scheduling": scheduling, "network": network, "latency": latency, "programs": programs, "matrix": matrix}
HERE = pathlib.Path(__file__).parent


def metrics(group, case):
    """What a case measures: name, factor and unit of each figure."""
    return getattr(GROUPS[group], "METRICS", {}).get(case, (("", 1e6, "us"),))


def child(group, case, name, scale):
    outcome = GROUPS[group].CASES[case](loops.new_loop(name), float(scale))
    print(json.dumps(outcome if isinstance(outcome, tuple) else (outcome,)), flush=True)
    # Some loops hang when they are taken down. Ours ends well, and with it a build that counts for a profile.
    if name != "ourio":
        os._exit(0)


def measure(group, case, name, scale):
    """One run in a process of its own; None if the loop cannot do it."""
    command = [sys.executable, str(HERE), "--child", group, case, name, str(scale)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout else None


def compare(group, case, names, rounds, scale):
    """Rounds of every loop, interleaved; figures by loop."""
    found = {name: [] for name in names}
    for turn in range(rounds):
        for offset in range(len(names)):
            name = names[(turn + offset) % len(names)]
            if found[name] is not None:
                outcome = measure(group, case, name, scale)
                found[name] = None if outcome is None else [*found[name], outcome]
    return {name: rows for name, rows in found.items() if rows}


def show(group, case, found):
    """Print a case's rows; the ratio of the best other loop to Ourio for each of its figures."""
    rows = []
    for index, (label, factor, unit) in enumerate(metrics(group, case)):
        values = {name: [row[index] * factor for row in outcomes] for name, outcomes in found.items()}
        medians = {name: statistics.median(each) for name, each in values.items()}
        cells = [f"{name} {medians[name]:.3g} ({min(each):.3g}..{max(each):.3g})" for name, each in values.items()]
        others = {name: median for name, median in medians.items() if name not in ("ourio", "asyncio", loops.LIMIT)}
        row = {"group": group, "case": case, "metric": label, "unit": unit, "values": values}
        if others and medians.get("ourio"):
            best = min(others, key=others.get)
            row |= {"best": best, "ratio": others[best] / medians["ourio"]}
            verdict = f"{row['ratio']:.2f}x of {best}"
            if "uvloop" in others:
                row["uvloop"] = others["uvloop"] / medians["ourio"]
                verdict += f", {row['uvloop']:.2f}x of uvloop"
            if loops.LIMIT in medians:
                row["limit"] = medians["ourio"] / medians[loops.LIMIT]
                verdict += f", {row['limit']:.2f} times the limit"
        else:
            verdict = ""
        rows.append(row)
        name = f"{case}{', ' + label if label else ''} [{unit}]"
        print(f"{name:38} {verdict:64} {'  '.join(cells)}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench", description=__doc__.partition("\n")[0])
    parser.add_argument("only", nargs="*", help=f"groups ({', '.join(GROUPS)}) or parts of the names of cases")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each case's work is done")
    parser.add_argument("--quick", action="store_true", help="two rounds of a fifth of the work, not kept")
    parser.add_argument("--build", default="release", help="how Ourio was built, for the results")
    parser.add_argument("--loops", help="comma-separated; all that are installed by default")
    options = parser.parse_args()
    names = options.loops.split(",") if options.loops else loops.available()
    rounds, scale = (2, 0.2) if options.quick else (options.rounds, options.scale)
    if not options.loops and importlib.util.find_spec("aiofastnet"):
        # Transports over uvloop: a peer where transports are measured.
        transports = [*names[:-1], "aiofastnet", names[-1]]
    else:
        transports = names
    version = sys.version.split()[0]
    print(
        f"Python {version}, {os.cpu_count()} CPUs, {rounds} rounds of {', '.join(names)}; "
        f"Ourio's build: {options.build}; medians (min..max)"
    )
    for group, module in GROUPS.items():
        cases = chosen(group, options.only)
        if cases and hasattr(module, "prepare"):
            module.prepare()
        rows, ratios = [], []
        for case in cases:
            measured = names if group == "scheduling" else transports
            measured = [*measured, loops.LIMIT] if case in getattr(module, "LIMITS", ()) else measured
            shown = show(group, case, compare(group, case, measured, rounds, scale))
            rows += shown
            ratios += [row["ratio"] for row in shown if "ratio" in row]
        if ratios:
            mean = math.exp(statistics.mean(map(math.log, ratios)))
            print(
                f"{group}: {mean:.2f}x of the best other loop in each row (geometric mean), {min(ratios):.2f}x at worst"
            )
        if rows and not options.quick:
            keep(version, rounds, options.build, rows)


def chosen(group, only):
    """The cases of a group that were asked for, by groups, by parts of names, or by both."""
    groups, parts = set(only) & set(GROUPS), set(only) - set(GROUPS)
    is_on_request = getattr(GROUPS[group], "ON_REQUEST", False)
    if group not in groups and (groups or is_on_request):
        return []
    return [case for case in GROUPS[group].CASES if not parts or any(part in case for part in parts)]


def keep(version, rounds, build, rows):
    """Write the rows beside those of other cases that an earlier run has measured."""
    path = HERE / "results" / f"{version.rpartition('.')[0]}.json"
    path.parent.mkdir(exist_ok=True)
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    about = {
        "python": version,
        "cpus": os.cpu_count(),
        "rounds": rounds,
        "build": build,
        "when": time.strftime("%Y-%m-%d"),
    }
    kept = {(row["group"], row["case"], row["metric"]): row for row in [*before, *({**row, **about} for row in rows)]}
    path.write_text(json.dumps({"rows": list(kept.values())}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
