"""Store every number of a fixed set of results, and check later that all are the same to the last bit.

    python tools/check_numbers.py write FILE.json
    python tools/check_numbers.py check FILE.json
    python tools/check_numbers.py check FILE.json surgery units

Run it before and after code is moved or renamed: no number may change. It uses only the command line, so it needs no
change when modules move. It runs the murine that this Python imports (PYTHONPATH counts) and needs the folder of real
data: $MURINE_SHARED, or ../shared beside the repository. Everything takes two to three minutes of one core. Names of
groups (keys of `RUNS`) behind the file run these groups alone.

`check` lists every number that differs, and every row, column and table that one side lacks; then it exits with 1.
Texts (flags, units, digests) that differ are listed too, but do not count: wording may change, and a digest names what
was scored but is no result. After a rename of a column, or of a text that names rows, say so in `RENAMED`. After a
rename of a command or an option, change `RUNS`.

Numbers are stored with all their digits. They hold for one machine and one set of libraries, because another BLAS or
processor changes the last bits. So the file of all results is not part of the repository. `--small` runs the small set
that the tests run. They compare it with tests/reference/numbers.json, with a tolerance. To write that file:

    python tools/check_numbers.py write tests/reference/numbers.json --small"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

#: Row -> column -> value. A value is a number, a list of numbers, a truth value, a text, or None where it is empty.
Table = dict[str, dict[str, object]]

#: Columns that are left out of all tables. `task` and `cortex_settings` are digests of how a configuration is written
#: down, and `method` counts versions of the code. A rename may change them without changing a number.
LEFT_OUT = {"task", "task_before", "task_after", "cortex_settings", "method"}

#: A column, or a text that names rows, today -> what it was called when the file was written.
RENAMED: dict[str, str] = {}

#: Networks of a few layers, in files that are written to the folder where the commands run.
NETWORKS = {
    "nets.py": """
from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 32, 32), "mean": (0, 0, 0), "std": (1, 1, 1)}


def conv():
    return Net(nn.Conv2d(3, 5, 5, stride=3), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.ReLU())


def deep():
    first = nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU()
    return Net(*first, nn.Conv2d(4, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU())


def pooled():
    return Net(nn.Conv2d(3, 6, 5), nn.Tanh(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(294, 12))


def flat():
    return Net(nn.Flatten(), nn.Linear(3 * 32 * 32, 6), nn.ReLU(), nn.Linear(6, 6))


def wide():
    return Net(nn.Conv2d(3, 9, 7, stride=4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(441, 8))
""",
    # Filters are given here, not drawn: the last bits of random weights differ between processors.
    "edges.py": """
import torch
from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 32, 32), "mean": (0, 0, 0), "std": (1, 1, 1)}


def edges():
    upright, slanted = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]]
    filters = torch.tensor([upright, slanted], dtype=torch.float32)
    filters = torch.cat([filters, filters.mT, -filters, -filters.mT])
    net = Net(nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.ReLU(), nn.AvgPool2d(4))
    net[0].weight.data = filters[:, None].repeat(1, 3, 1, 1)
    return net
""",
}
_CONV, _DEEP, _POOLED, _FLAT, _WIDE = (
    f"nets.py:{name}@random:0" for name in ("conv", "deep", "pooled", "flat", "wide")
)
_EDGES = "edges.py:edges"
_TRAINED = f"{ROOT}/examples/trained_networks.py:resnet20_cifar10"

_ONE_SITE = "--select area=SIMp"
_SCORED = "--no-controls --device cpu --bootstraps 6 --permutations 4 --splits 3 --input-size 32"
_FEWER = "--no-controls --device cpu --bootstraps 4 --permutations 2 --splits 2 --input-size 32"
_SEEN = f"{_ONE_SITE} --device cpu --bootstraps 20 --input-size 32"

#: What names a row.
_NETWORK = "network weights input_size"
_RANKED = f"{_NETWORK} cortex metric treatment"
_LAYER = "site layer other_layer stimuli split layer_choice"
_SCORE = f"{_NETWORK} cortex metric normalise_neurons normalise_features {_LAYER}"


class Run(NamedTuple):
    """One command and the columns that name the rows of its table, both with spaces between."""

    name: str
    command: str
    keys: str
    file: str = ""  # a CSV file that the command writes: it is the table, instead of what the command prints


# As text, floats have as many digits as tell them apart, and lists are printed in full.
_EVERY_SCORE = Run("every score", "results --sql 'SELECT COLUMNS(*)::VARCHAR FROM scores'", _SCORE)

#: Name of a folder of results -> the commands that use it, in order.
RUNS: dict[str, list[Run]] = {
    "simulated": [
        Run(
            "leaderboard",
            f"score {_CONV} {_ONE_SITE} {_SCORED} --metric all --normalise both",
            _RANKED,
        ),
        _EVERY_SCORE,
        Run("results", "results --view leaderboard", _RANKED),
        Run("sites", "results --view sites", _SCORE),
        Run("layers", "results --view layers", _SCORE),
        Run("metrics", "results --view metrics", f"{_NETWORK} cortex treatment"),
    ],
    "cell classes": [
        Run(
            "leaderboard",
            f"score {_CONV} gabor --by area,cell_class --over neurons --normalise all {_SCORED}"
            " --metric rsa-pearson --metric cka-debiased",
            _RANKED,
        ),
        _EVERY_SCORE,
    ],
    "published protocol": [
        Run("leaderboard", f"score {_CONV} {_ONE_SITE} {_SCORED} --protocol conwell2021", _RANKED),
        _EVERY_SCORE,
    ],
    "neuropixels": [
        Run(
            "leaderboard",
            f"score {_TRAINED} --twins 1 --against allen-neuropixels --layers blocks {_SCORED}"
            " --select cre_line=wt --select area=VISam --select area=VISpm --by area --over animals"
            " --normalise both --metric rsa-pearson --metric ridge",
            _RANKED,
        ),
        _EVERY_SCORE,
        Run("treatments", "results --view treatments", "cortex metric input_size network site"),
    ],
    "matrices": [
        Run(
            "leaderboard",
            f"score {_CONV} --against allen-2p {_SCORED} --metric rsa-pearson --metric rsa-spearman --metric rsa-tau-a"
            " --metric rsa-cosine --metric rsa-reweighted --metric cka --metric cka-debiased --metric procrustes",
            _RANKED,
        ),
        _EVERY_SCORE,
    ],
    "surgery": [
        Run(
            "differences",
            f"neurn {_CONV} {_DEEP} {_ONE_SITE} {_SCORED.removeprefix('--no-controls')} --metric rsa-pearson"
            " --layer 'neurn(k=3)' --layer sobel --at image --at after:0",
            f"{_RANKED} variant site",
        ),
        _EVERY_SCORE,
    ],
    "architecture": [
        Run(
            "leaderboard",
            f"score {_CONV} {_DEEP} {_POOLED} {_FLAT} {_WIDE} {_ONE_SITE} {_SCORED} --metric rsa-pearson --metric cka",
            _RANKED,
        ),
        Run("agreement", "results --view agreement", "cortex metric other_metric"),
        Run(
            "explain",
            "explain --metric rsa-pearson --role random --file nets.py --permutations 99 --bootstraps 50",
            "first second given",
        ),
    ],
    "units": [
        Run("match", f"match {_CONV} {_SEEN} --by area,cell_class --candidates 3 --rows match.csv", "area cell_class"),
        Run("match, rows", "", "layer neuroid_id", "match.csv"),
        Run("maps", f"maps {_CONV} {_SEEN} --side 5 --side 8 --rows maps.csv", "side area"),
        Run("maps, rows", "", "side layer neuroid_id", "maps.csv"),
    ],
    "generalization": [
        Run(
            "cells",
            "generalize --source semeion --target street --network lenet-small --variants plain,neurn3 --seeds 2"
            " --set epochs=1 --set n_train=200 --test-images 40 --against simulated",
            "source network variant target",
        ),
    ],
    "no results": [
        Run("align", f"align {_CONV} {_DEEP} {_POOLED} {_FLAT} vgg11 vgg16 --alignments", "first second"),
        Run("ceilings", "data show simulated --by area,cell_class", "site"),
        Run("ceilings of matrices", "data show allen-2p", "site"),
    ],
}

#: The same at the size of a test, without real data.
SMALL: dict[str, list[Run]] = {
    "simulated": [
        Run(
            "leaderboard",
            f"score {_EDGES} {_ONE_SITE} {_FEWER} --metric all --normalise-neurons zscore --over neurons",
            _RANKED,
        ),
        Run("sites", "results --view sites", _SCORE),
    ],
    "surgery": [
        Run(
            "differences",
            f"neurn {_EDGES} {_ONE_SITE} {_FEWER.removeprefix('--no-controls')} --metric rsa-pearson",
            f"{_RANKED} variant site",
        ),
    ],
    "units": [
        Run("match", f"match {_EDGES} {_SEEN} --by area,cell_class --candidates 3", "area cell_class"),
        Run("maps", f"maps {_EDGES} {_SEEN} --side 5", "side area"),
    ],
    "no results": [Run("align", f"align {_CONV} {_DEEP} {_POOLED} {_FLAT} --alignments", "first second")],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["write", "check"])
    parser.add_argument("file", type=Path)
    parser.add_argument("groups", nargs="*", metavar="group", help=f"one of {', '.join(RUNS)}; all by default")
    parser.add_argument("--small", action="store_true", help="run the set of the tests")
    asked = parser.parse_args()
    known = SMALL if asked.small else RUNS
    if unknown := set(asked.groups) - set(known):
        parser.error(f"unknown group {', '.join(unknown)}; there are {', '.join(known)}")
    runs = {name: runs for name, runs in known.items() if name in asked.groups or not asked.groups}
    stored = json.loads(asked.file.read_text("utf-8")) if asked.action == "check" else {}
    with tempfile.TemporaryDirectory() as folder:
        tables = run_all(runs, Path(folder))
    told = f"{sum(map(count_numbers, tables.values())):,} numbers in {len(tables)} tables"
    if asked.action == "write":
        asked.file.write_text(json.dumps(tables, indent=0), encoding="utf-8")
        print(f"{told} written to {asked.file}")
        return 0
    if asked.groups:
        stored = {name: table for name, table in stored.items() if name.partition(":")[0] in asked.groups}
    numbers, texts = differences(stored, tables)
    for line in [f"text only: {line}" for line in texts] + numbers:
        print(line)
    print(f"{told} compared: {len(numbers) or 'no'} differences, and {len(texts) or 'no'} texts that differ")
    return int(bool(numbers))


def run_all(runs: Mapping[str, Sequence[Run]], folder: Path) -> dict[str, Table]:
    """Run all commands in a folder, each in its own process, and return their tables by name."""
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Networks run in the process of the command: a process for each takes seconds to start.
    environment |= {"MURINE_IN_PROCESS": "1", "MURINE_CACHE": str(folder / "cache")}
    environment["MURINE_SHARED"] = str(Path(os.environ.get("MURINE_SHARED", ROOT.parent / "shared")).resolve())
    if given := os.environ.get("PYTHONPATH"):  # the commands run in another folder
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(path).resolve()) for path in given.split(os.pathsep))

    def run(arguments: Sequence[str]) -> str:
        command = [sys.executable, "-m", "murine", *arguments]
        ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")
        if ran.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stderr}")
        return ran.stdout

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = pool.map(lambda group: dict(tables_of(group, runs[group], folder, run)), runs)
        return {name: table for part in parts for name, table in part.items()}


def tables_of(
    group: str, runs: Sequence[Run], folder: Path, run: Callable[[Sequence[str]], str]
) -> Iterator[tuple[str, Table]]:
    """Yield the name and the table of each command of a group.

    `run` takes the arguments of a command, runs it in the folder and returns what it prints."""
    for name, text in NETWORKS.items():
        (folder / name).write_text(text, encoding="utf-8")
    for each in runs:
        text = ""
        if each.command:
            arguments = shlex.split(each.command)
            atlas = () if arguments[0] in ("align", "data") else ("--atlas", f"atlas of {group}")
            text = run([*arguments, *atlas, "--format", "csv"])
        if each.file:
            text = (folder / each.file).read_text("utf-8")
        yield f"{group}: {each.name}", read_table(text, each.keys.split())


def read_table(text: str, keys: Sequence[str]) -> Table:
    """Read a CSV table; the texts in columns `keys` name its rows."""
    table: Table = {}
    for row in csv.DictReader(io.StringIO(text)):
        name = ", ".join(RENAMED.get(row[key], row[key]) or "-" for key in keys)
        if name in table:
            raise ValueError(f"two rows are named {name!r}: the columns {', '.join(keys)} do not tell them apart")
        left = [column for column in row if column not in LEFT_OUT and column not in keys]
        table[name] = {RENAMED.get(column, column): _value(row[column]) for column in left}
    if not table:
        raise ValueError(f"the table is empty; it has no rows to name by {', '.join(keys)}")
    return table


def _value(cell: str) -> object:
    if cell.startswith("["):
        return [_value(part) for part in cell.strip("[]").split(", ")]
    if cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    try:
        return float(cell)
    except ValueError:
        return cell or None


def count_numbers(table: Table) -> int:
    """Return how many numbers a table holds, in lists too."""
    values = [value for row in table.values() for value in row.values()]
    return sum(len(value) if isinstance(value, list) else isinstance(value, float) for value in values)


def differences(
    stored: Mapping[str, Table], tables: Mapping[str, Table], tolerance: float = 0.0
) -> tuple[list[str], list[str]]:
    """Return the differences between stored and new tables, one line each: of numbers, and of texts.

    A tolerance is relative for numbers above 1 and absolute for those below. NaN equals NaN."""
    numbers = [f"{name}: the table is {told}" for name, told in _missing(stored, tables)]
    texts: Counter[str] = Counter()
    for name in [name for name in stored if name in tables]:
        old, new = stored[name], tables[name]
        numbers += [f"{name}: the row {row} is {told}" for row, told in _missing(old, new)]
        columns = [dict.fromkeys(column for row in table.values() for column in row) for table in (old, new)]
        numbers += [f"{name}: the column {column} is {told}" for column, told in _missing(*columns)]
        for row in [row for row in old if row in new]:
            for column in [column for column in old[row] if column in new[row]]:
                before, after = old[row][column], new[row][column]
                if _same(before, after, tolerance):
                    continue
                if isinstance(before, str) and isinstance(after, str):
                    texts[f"{name}: {column} was {before!r}, is {after!r}"] += 1
                else:
                    numbers.append(f"{name}: {column} of {row} was {before!r}, is {after!r}")
    return numbers, [f"{line} ({count} rows)" for line, count in texts.items()]


def _missing(old: Mapping[str, object], new: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(name, "gone") for name in old if name not in new] + [(name, "new") for name in new if name not in old]


def _same(before: object, after: object, tolerance: float) -> bool:
    if isinstance(before, list) and isinstance(after, list):
        pairs = zip(before, after, strict=False)
        return len(before) == len(after) and all(_same(a, b, tolerance) for a, b in pairs)
    if tolerance and isinstance(before, float) and isinstance(after, float) and not math.isnan(before):
        return math.isclose(before, after, rel_tol=tolerance, abs_tol=tolerance)
    # As text, NaN equals NaN, and 0 is not -0.
    return repr(before) == repr(after)


if __name__ == "__main__":
    sys.exit(main())
