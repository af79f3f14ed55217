"""Print the table of metrics, or write it into a document.

python tools/tabulate_metrics.py                    all metrics that are installed, those of plug-ins included
python tools/tabulate_metrics.py --write README.md  those of murine, between the two markers in the file"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from murine.scoring import Metric, metric_of, metrics

#: The table stands between these lines of a document.
START, END = "<!-- metrics: python tools/tabulate_metrics.py --write README.md -->", "<!-- end of metrics -->"


def table(found: Iterable[Metric]) -> str:
    """Return the rows of some metrics in Markdown."""
    lines = ["| metric | what a score is | noise ceiling | with few images | needs |", "| --- " * 5 + "|"]
    for metric in found:
        told = metric.describe()
        size = "the same" if told.bias == "none" else told.bias.removesuffix(" with few stimuli")
        needs = "single neurons" if told.of_neurons else "neurons or matrices"
        cells = (f"`{told.name}`", told.summary, "yes" if told.ceiling else "no", size, needs)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def own_metrics() -> list[Metric]:
    """Return the metrics of murine itself."""
    return [found for found in map(metric_of, metrics) if type(found).__module__.startswith("murine.")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE")
    given = parser.parse_args()
    if given.write is None:
        print(table(map(metric_of, metrics)))
        return
    before, start, rest = given.write.read_text("utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise SystemExit(f"{given.write} lacks one of the lines {START!r} and {END!r}.")
    given.write.write_text(f"{before}{START}\n{table(own_metrics())}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
