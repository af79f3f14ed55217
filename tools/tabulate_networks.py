"""Write src/murine/networks/tables/architectures.csv: what building every network on the meta device tells of it.

    python tools/tabulate_networks.py [PATTERN]

Takes about a quarter of an hour for all. Run it again when timm or torchvision have new networks; with a pattern, the
other rows stay as they are."""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import timm
import torch
from timm.models import _registry

from murine.networks import parameter_counts, zoo
from murine.networks.sources.published_weights import published_weights
from murine.networks.sources.shared_networks import SHARED_NETWORKS
from murine.networks.sources.source import get_source

TABLE = Path(__file__).resolve().parents[1] / "src/murine/networks/tables/architectures.csv"
COLUMNS = ("name", "family", "parameters", "depth", "height", "width", "source")


def networks() -> Iterator[tuple[str, str, str]]:
    """Names, families and what built them."""
    for name in timm.list_models():
        yield name, _registry._model_to_module[name], f"timm {version('timm')}"
    import torchvision.models as models

    for name in get_source("torchvision").architectures():
        module = models.get_model_builder(name).__module__.rpartition(".")[2]
        yield f"torchvision:{name}", module, f"torchvision {version('torchvision')}"
    for row in published_weights().values():
        yield row.name, row.family, "murine"
    for name, about in SHARED_NETWORKS.items():
        yield f"shared:{name}", about.family, "murine"


def main(pattern: str = "*") -> None:
    warnings.simplefilter("ignore")
    before = {row["name"]: row for row in csv.DictReader(TABLE.open(newline=""))} if TABLE.exists() else {}
    rows: list[dict[str, object]] = []
    for name, family, source in networks():
        if not fnmatch(name, pattern):
            rows += [dict(before[name])] if name in before else []
            continue
        row: dict[str, object] = {"name": name, "family": family, "source": source}
        try:
            module, preprocessing = zoo.skeleton(name)
            height, width = preprocessing.input_size
            row |= {"parameters": parameter_counts.n_parameters(module), "height": height, "width": width}
            row["depth"] = parameter_counts.depth(module, torch.empty(2, 3, height, width, device="meta"))
        except Exception as error:  # told, and left empty in the table
            print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:150]}", file=sys.stderr, flush=True)
        rows.append(row)
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
