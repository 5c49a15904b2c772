"""What was measured, as Markdown tables and as a plot: ``python benches/report.py benches/results/3.14.json``.

Needs nothing but the results.
"""

import html
import json
import math
import pathlib
import statistics
import sys

ORDER = ("asyncio", "uvloop", "rloop", "rsloop", "zuvloop", "aiofastnet", "ourio", "epoll")
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f } .group { font-weight: 600 }
  .ahead { fill: #2da44e } .behind { fill: #cf222e } .even { stroke: #57606a; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .even { stroke: #8b949e } }
"""


def name(row):
    return row["case"] + (f", {row['metric']}" if row["metric"] else "")


def figure(value):
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def table(rows):
    """The rows of one group: medians, the fastest loop in bold, ratios."""
    loops = [loop for loop in ORDER if any(loop in row["values"] for row in rows)]
    lines = ["| case | " + " | ".join(loops) + " | to uvloop | to the best other |", "|---" * (len(loops) + 3) + "|"]
    for row in rows:
        medians = {loop: statistics.median(values) for loop, values in row["values"].items()}
        best = min((loop for loop in medians if loop != "epoll"), key=medians.get)
        cells = []
        for loop in loops:
            text = figure(medians[loop]) if loop in medians else "-"
            cells.append(f"**{text}**" if loop == best else text)
        versus = [f"{row['uvloop']:.2f}x" if "uvloop" in row else "-"]
        versus.append(f"{row['ratio']:.2f}x ({row['best']})" if "ratio" in row else "-")
        lines.append(f"| {name(row)} [{row['unit']}] | " + " | ".join(cells + versus) + " |")
    return "\n".join(lines)


def grid(rows):
    """Kinds and sizes of messages by numbers of connections: how the best other loop's CPU compares to Ourio's."""
    cells = {}
    for row in rows:
        case, _, connections = row["case"].rpartition(" x")
        cells.setdefault(case, {})[int(connections)] = f"{row['ratio']:.2f} {row['best']}" if "ratio" in row else "-"
    columns = sorted({connections for found in cells.values() for connections in found})
    lines = ["| case | " + " | ".join(f"x{count:,}" for count in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {case} | " + " | ".join(found.get(count, "-") for count in columns) + " |" for case, found in cells.items()
    ]
    return "\n".join(lines)


def summary(rows):
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    mean = math.exp(statistics.mean(map(math.log, ratios)))
    ahead = sum(ratio >= 1 for ratio in ratios)
    return f"{mean:.2f}x of the best other loop in each row (geometric mean); ahead in {ahead} of {len(ratios)} rows."


def plot(groups, title):
    """Bars of Ourio's ratio to the best other loop of each row, on a logarithmic scale."""
    width, left, height = 860, 330, 18
    reach = math.log(4)
    middle = left + (width - left - 60) / 2

    def place(ratio):
        return middle + max(-reach, min(reach, math.log(ratio))) / reach * (width - left - 60) / 2

    parts, y = [], 46
    for group, rows in groups.items():
        parts.append(f'<text class="group" x="8" y="{y + 4}">{html.escape(group)}</text>')
        y += height
        for row in rows:
            if "ratio" not in row:
                continue
            start, end = sorted((middle, place(row["ratio"])))
            kind = "ahead" if row["ratio"] >= 1 else "behind"
            parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{html.escape(name(row))}</text>')
            parts.append(f'<rect class="{kind}" x="{start:.1f}" y="{y - 6}" width="{end - start:.1f}" height="11"/>')
            label = f"{row['ratio']:.2f} {row['best']}"
            parts.append(f'<text x="{max(end, middle) + 4:.1f}" y="{y + 4}">{html.escape(label)}</text>')
            y += height
    parts.insert(0, f'<line class="even" x1="{middle}" x2="{middle}" y1="32" y2="{y}"/>')
    head = f'<text class="group" x="8" y="20">{html.escape(title)}</text>'
    size = f'xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 10}" viewBox="0 0 {width} {y + 10}"'
    return f"<svg {size}><style>{STYLE}</style>{head}{''.join(parts)}</svg>\n"


def main(path):
    rows = json.loads(path.read_text())["rows"]
    groups = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    for metric in ("CPU", "time", "p99"):
        members = [row for row in groups.get("matrix", []) if row["metric"] == metric]
        if members:
            print(f"### matrix, {metric}\n\n{summary(members)}\n\n{grid(members)}\n")
    groups.pop("matrix", None)
    for group, members in groups.items():
        # How fast, and how much of a processor; the 99th percentiles are their own table.
        tails = [row for row in members if row["metric"] == "p99"]
        print(f"### {group}\n\n{summary([row for row in members if row not in tails])}\n")
        print(table([row for row in members if row not in tails]), end="\n\n")
        if tails:
            print(f"Tail latency: {summary(tails)}\n\n{table(tails)}\n")
    about = rows[0]
    title = f"Ourio to the best other loop, above 1 is ahead: CPython {about['python']}, {about['when']}"
    shown = {
        group: [row for row in members if row["metric"] not in ("p99", "time") or group == "scheduling"]
        for group, members in groups.items()
    }
    path.with_suffix(".svg").write_text(plot(shown, title))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
