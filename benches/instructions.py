"""Instructions of Ourio's own library per operation, under callgrind: ``cargo xtask instructions [--update]``.

Time on a shared machine cannot tell 3 %; instructions can. Only those of ``ourio._ourio`` are counted, so that they are
the same with every build of an interpreter's version, and each case runs at two scales, so that starting up
counts for nothing. ``instructions.json`` holds what is expected.
"""

import argparse
import collections
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / "instructions.json"
# Operations of each case at scale 1.
CASES = {
    "call_soon chain": 300_000,
    "call_soon burst": 200_000,
    "call_later + cancel": 200_000,
    "sleep(0)": 200_000,
    "create_task": 100_000,
    "queue ping-pong": 50_000,
    "timeout": 50_000,
}
SCALES = (0.02, 0.07)
# A compiler's other mood is not a regression, nor is where a machine's memory lies: tasks are hashed by address, and
# the same library differs by 1.5 % from one folder to another.
TOLERANCE = 0.05
# How many turns ask the kernel depends on how fast they are, which callgrind makes a matter of luck: what seems to have
# become worse is counted again, and the least counts.
AGAIN = 2


def cost_of(profile, library):
    """The instructions of one library, from a profile of callgrind."""
    names, current, calling, total = {}, "", False, 0
    with open(profile) as lines:
        for line in lines:
            if found := re.match(r"c?ob=\((\d+)\)(?: (.*))?", line):
                if found[2]:
                    names[found[1]] = found[2].strip()
                if not line.startswith("c"):
                    current = names.get(found[1], "")
            elif line.startswith("calls="):
                # The next line is the cost of what is called, which counts where it is spent.
                calling = True
            elif re.match(r"[+\-*\d]", line):
                if not calling and library in current:
                    total += int(line.split()[-1])
                calling = False
    return total


def measure(case, scale):
    with tempfile.TemporaryDirectory() as folder:
        profile = pathlib.Path(folder) / "profile"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", "--quiet"]
        child = [sys.executable, str(HERE), "--child", "scheduling", case, "ourio", str(scale)]
        subprocess.run([*command, *child], check=True, capture_output=True, timeout=600)
        return cost_of(profile, "_ourio")


def count(case, operations):
    """Instructions per operation."""
    low, high = (measure(case, scale) for scale in SCALES)
    return round((high - low) / (operations * (SCALES[1] - SCALES[0])))


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask instructions", description=__doc__.partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="write down what is measured as what is expected")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: instructions are not counted")
        return 0
    everything = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    expected, found, worse = everything.get(version, {}), collections.OrderedDict(), []
    for case, operations in CASES.items():
        before = expected.get(case)
        found[case] = count(case, operations)
        for _ in range(AGAIN):
            if before is None or found[case] <= before * (1 + TOLERANCE):
                break
            found[case] = min(found[case], count(case, operations))
        change = f"{found[case] / before - 1:+.1%}" if before else "new"
        print(f"{case:24} {found[case]:6} instructions  {change}", flush=True)
        if before and abs(found[case] / before - 1) > TOLERANCE:
            worse.append(case)
    if options.update:
        EXPECTED.write_text(json.dumps(everything | {version: found}, indent=1) + "\n")
        return 0
    if worse:
        print(f"not what benches/instructions.json expects: {', '.join(worse)}; --update, and say why")
    return bool(worse)


if __name__ == "__main__":
    sys.exit(main())
