"""The study of contrasts: how much does likeness to cortex change when only one thing about a network changes?

The contrasts stand in ``contrasts.csv`` beside this module.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import pandas as pd

import murine
from murine.atlas.contrasts import Contrast, Side, contrast_table, sign_changes, spread
from murine.atlas.trained_against_random import ALL_SITES
from murine.errors import MurineError
from murine.literature import CONWELL
from murine.studies import columns
from murine.studies.claim import Claim
from murine.studies.study import SCALES, FigureSpec, Study, StudyResult, options_for

#: Seeds of random networks, and the size of images, at each scale.
SEEDS = {"tiny": 2, "small": 5, "full": 5}
SIDES = {"tiny": 32, "small": 64, "full": 64}
METRICS = {
    "tiny": ("rsa-pearson",),
    "small": ("rsa-pearson", "ridge"),
    "full": ("rsa-pearson", "cka-debiased", "ridge"),
}
DATA = {
    "tiny": ("simulated",),
    "small": ("allen-neuropixels", "allen-2p", "primate-92"),
    "full": ("allen-neuropixels", "allen-2p", "primate-92"),
}


class Contrasts(Study):
    name = "contrasts"
    title = "One factor at a time"
    question = "How much does likeness to cortex change when only one thing about a network changes?"
    citation = CONWELL
    durations = MappingProxyType({"tiny": "2 minutes"})

    def run(
        self,
        *,
        data: Sequence[Any] = (),
        networks: Sequence[Any] = (),
        scale: str = "small",
        atlas: murine.Atlas | str | Path | None = None,
        progress: bool = False,
        **options: Any,
    ) -> StudyResult:
        if networks:
            raise MurineError("the study of contrasts brings its own networks; leave --network out.")
        contrasts = list(read_contrasts(scale))
        with TemporaryDirectory(prefix="murine-") as folder:
            asked = {"controls": False, "atlas": atlas or folder, "progress": progress}
            scores = [
                murine.compare(names, source, **{"input_size": side, **allowed, **asked, **options}).chosen
                for source in data or DATA[scale]
                for allowed in [options_for(murine.load_data(source), METRICS[scale])]
                for side, names in _networks_by_size(contrasts).items()
            ]
            rows = pd.concat(scores, ignore_index=True)
        everything = [*contrasts, *_pooled(contrasts)]
        table = sign_changes(contrast_table(rows, everything))
        seeds = spread(rows, _random_networks(contrasts))
        table = _in_spreads(table, seeds)
        return StudyResult(
            self.name,
            {"contrasts": table, "spread": seeds},
            columns.CONTRASTS,
            figures=tuple(_figures(table, seeds)),
            claims=tuple(_claims(table)),
        )


def read_contrasts(scale: str) -> Iterator[Contrast]:
    """Return the contrasts of a scale and of all smaller ones; ``{seed}`` in a name stands for every seed."""
    side = f"{SIDES[scale]}x{SIDES[scale]}"
    for row in csv.DictReader((files("murine.studies") / "contrasts.csv").read_text("utf-8").splitlines()):
        if SCALES.index(row["scale"]) <= SCALES.index(scale):
            first, second = (_side(row[end], row[f"{end}_size"] or side, SEEDS[scale]) for end in ("first", "second"))
            yield Contrast(row["factor"], row["contrast"], first, second, row["note"])


def _side(text: str, size: str, n_seeds: int) -> Side:
    names = [text.format(seed=seed) for seed in range(n_seeds)] if "{seed}" in text else [text]
    return Side(tuple(names), size)


def _networks_by_size(contrasts: Sequence[Contrast]) -> dict[int, list[str]]:
    found: dict[int, dict[str, None]] = {}
    for contrast in contrasts:
        for side in (contrast.first, contrast.second):
            found.setdefault(int(side.input_size.partition("x")[0]), {}).update(dict.fromkeys(side.networks))
    return {size: list(names) for size, names in found.items()}


def _pooled(contrasts: Sequence[Contrast]) -> Iterator[Contrast]:
    """All trained networks against all random ones, for each rule of initialisation."""
    trained = [contrast for contrast in contrasts if contrast.factor == "training"]
    for by_torch, words in ((False, "random"), (True, "random (PyTorch's rule)")):
        own = [contrast for contrast in trained if contrast.second.networks[0].endswith(":torch") == by_torch]
        if len(own) > 1:
            size = own[0].first.input_size
            first = tuple(name for contrast in own for name in contrast.first.networks)
            second = tuple(name for contrast in own for name in contrast.second.networks)
            yield Contrast("training", f"all: trained - {words}", Side(first, size), Side(second, size))


def _random_networks(contrasts: Sequence[Contrast]) -> Side:
    """The largest group of seeds of one network."""
    sides = [c.second for c in contrasts if len(c.second.networks) > 1]
    return next((side for side in sides if "mobilenet_v2" in side.networks[0]), [*sides, contrasts[0].second][0])


def _in_spreads(table: pd.DataFrame, seeds: pd.DataFrame) -> pd.DataFrame:
    key = ["cortex", "metric", "treatment", "setting"]
    merged = table.merge(seeds[[*key, "spread"]], how="left", on=key)
    return merged.assign(in_spreads=merged.difference / merged.spread).drop(columns="spread")


def _figures(table: pd.DataFrame, seeds: pd.DataFrame) -> Iterator[FigureSpec]:
    whole = table[(table.site == ALL_SITES) & table.difference.notna()]
    for (cortex, metric), own in whole.groupby(["cortex", "metric"], sort=False):
        rows = own.assign(label=own.factor + ": " + own.contrast)
        spreads = seeds[(seeds.cortex == cortex) & (seeds.metric == metric)]
        retrained = own[own.factor == "training run"].difference.abs().max()
        bands = (
            (spreads.spread.max(), f"one SD between {spreads.n_networks.max()} random seeds"),
            (retrained, "difference between two training runs"),
        )
        yield FigureSpec(
            f"contrasts-{cortex}-{metric}",
            "intervals",
            rows,
            f"{cortex}, {metric}: what changes when one factor changes",
            {"value": "difference", "group": "treatment", "unit": f"difference, {own.unit.iloc[0]}", "bands": bands},
        )


#: Contrasts that test a claim: how their name starts, the claim, and the sign that it asks for.
_CLAIMS = (
    ("all: trained - ", "Trained networks are more like cortex than random ones", 1),
    ("224 px - 64 px", "Images of 64 px are better than images of 224 px", -1),
    ("neurn(k=3) - none (MobileNet", "NeuRN at the input makes a network more like cortex", 1),
)


def _claims(table: pd.DataFrame) -> Iterator[Claim]:
    whole = table[(table.site == ALL_SITES) & (table.metric == METRICS["tiny"][0])]
    for start, claim, sign in _CLAIMS:
        for row in whole[whole.contrast.str.startswith(start)].to_dict("records"):
            where = f"{row['cortex']}, {row['metric']}, {row['treatment']}"
            yield Claim.above_zero(f"{claim} ({where}).", row, row["contrast"], sign)


contrasts = Contrasts()
