"""The companion paper on NeuRN (Jalil, Qazi & Iqbal 2025), as parts of mice-to-machines: architectures and domains."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd

import murine
from murine.architecture import align, sequences_as_published
from murine.errors import MurineError
from murine.generalization.summary import UNSEEN, cells, differences
from murine.literature import JALIL, published_numbers
from murine.progress import Progress
from murine.studies.architectures import published_agreement
from murine.studies.claim import Claim
from murine.studies.findings import Findings
from murine.studies.generalization_run import GeneralizationQuestion, answer
from murine.studies.study import FigureSpec

#: What is trained for the domain matrix: networks, seeds, and changes of the recipe.
TRAINING: dict[str, dict[str, Any]] = {
    "tiny": {"networks": ("lenet-small",), "n_seeds": 2, "changes": {"n_train": 300, "epochs": 2}, "n_test": 200},
    "small": {"networks": ("lenet",), "n_seeds": 3, "changes": {"n_train": 2000}},
    "full": {"networks": ("lenet", "resnet18", "nasnet", "vit"), "n_seeds": 3, "recipe": "paper"},
}


def add_architectures(found: Findings) -> None:
    """The alignments and the heat map of the companion paper."""
    sequences = sequences_as_published("neurn44")
    lengths = {letters: float(len(sequences[letters.lower()])) for letters in ("VGG11", "VGG16", "VGG19")}
    found.claims += Claim.of_numbers(JALIL.key, "layers in the sequence", lengths, 0)
    numbers = published_numbers(JALIL.key, "alignment score")
    scores = numbers[["item"]].assign(published=numbers.value)
    pairs = [pair.lower().split("-") for pair in scores["item"]]
    scores["ours"] = [float(align(sequences[first], sequences[second]).score) for first, second in pairs]
    ours = dict(zip(scores["item"], scores.ours, strict=True))
    found.claims += Claim.of_numbers(JALIL.key, "alignment score", ours, 0)
    found.tables["alignments"] = scores
    names, panels, r, gap = published_agreement()
    here, theirs = panels.values()
    places = [(i, j) for i, j in itertools.combinations(range(len(names)), 2)]
    found.tables["heat-map"] = pd.DataFrame(
        {"first": names[i], "second": names[j], "published": theirs[i, j], "ours": here[i, j]} for i, j in places
    )
    long = [(first, second, here[i, j]) for i, first in enumerate(names) for j, second in enumerate(names)]
    found.figures.append(
        FigureSpec(
            "heat-map",
            "heat",
            pd.DataFrame(long, columns=["first", "second", "ours"]),
            f"Similarity of {len(names)} architectures; r = {r:.3f} with the published heat map",
            {"row": "first", "column": "second", "value": "ours", "unit": "correlation of rows"},
        )
    )
    told = f"Decoded from a figure, so that 0.9 or more counts; the mean difference is {gap:.3f}."
    claim = "Correlation of our heat map with the published one."
    found.claims.append(Claim.beside(claim, 1.0, r, 0.1, "r", told, "heat map of architectures", "F"))


def add_domains(found: Findings, scale: str, atlas: murine.Atlas, bars: Progress, seed: int) -> None:
    """The domain matrix with and without NeuRN."""
    question = GeneralizationQuestion(**TRAINING[scale], sources=("mnist",), data_seed=None)
    try:
        got = answer(question, atlas, bars)
    except MurineError as error:
        found.notes.append(f"The domain matrix is left out: {error}")
        return
    keep = ["network", "variant", "source", "target", "accuracy", "low", "high"]
    matrix = cells(got.rows).rename(columns={"accuracy_low": "low", "accuracy_high": "high"})[keep]
    found.tables["domains"] = matrix.assign(**{name: 100 * matrix[name] for name in ("accuracy", "low", "high")})
    shown = found.tables["domains"].assign(label=matrix.network + ", " + matrix.variant)
    found.figures.append(
        FigureSpec(
            "domains",
            "heat",
            shown,
            "Accuracy on domains, trained on MNIST",
            {"row": "label", "column": "target", "value": "accuracy", "unit": "per cent right"},
        )
    )
    gaps = differences(got.rows)
    for row in gaps[gaps.target == UNSEEN].to_dict("records"):
        claim = f"NeuRN makes {row['network']} more accurate on unseen domains."
        if row["no_claim"]:
            found.claims.append(Claim(claim, "not tested", f"{row['variant']}: {row['no_claim']}."))
            continue
        ends = {"difference": "difference", "low": "difference_low", "high": "difference_high"}
        gap = {name: 100 * row[column] for name, column in ends.items()} | {"unit": "per cent"}
        found.claims.append(Claim.above_zero(claim, gap, f"{row['variant']} - plain"))
