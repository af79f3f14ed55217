"""The study of Qazi, Jalil & Iqbal 2025 and of their companion on NeuRN: maps, architectures and unseen domains."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import pandas as pd

import murine
from murine.architecture import align, sequences_as_published
from murine.atlas.unit_results import compare_maps
from murine.cortex.representative import CLASSES
from murine.errors import MurineError
from murine.generalization.summary import UNSEEN, cells, differences
from murine.literature import JALIL, QAZI, published_numbers
from murine.progress import Progress, progress_bars
from murine.studies import columns
from murine.studies.architectures import published_agreement
from murine.studies.claim import Claim
from murine.studies.generalization_run import GeneralizationQuestion, answer
from murine.studies.study import FigureSpec, Study, StudyResult
from murine.units.nearest_maps import map_error_contrast, map_error_differences, neuron_map_errors

NEURN = "neurn(k=3)@input"

#: The networks of the maps at each scale; ``full`` has the thirteen of the paper as PyTorch libraries have them.
NETWORKS = {
    "tiny": ("resnet10t@random:0", "mobilenetv3_small_050@random:0"),
    "small": tuple(
        f"shared:{name}"
        for name in ("squeezenet", "mobilenet_v1_025", "mobilenet_v1_075", "mobilenet_v2", "efficientnet_lite0")
    ),
    "full": (
        *("torchvision:vgg16", "torchvision:vgg19", "resnet50", "resnetv2_50", "resnetv2_101", "mobilenetv1_100"),
        *("torchvision:mobilenet_v2", "densenet121", "inception_v3", "inception_resnet_v2", "xception41"),
        *("nasnetalarge", "efficientnet_b0"),
    ),
}
SIDES = {"tiny": 32, "small": 64, "full": None}
DATA = {"tiny": "simulated", "small": "allen-neuropixels", "full": "allen"}

#: What is trained for the domain matrix: networks, seeds, and changes of the recipe.
TRAINING: dict[str, dict[str, Any]] = {
    "tiny": {"networks": ("lenet-small",), "n_seeds": 2, "changes": {"n_train": 300, "epochs": 2}, "n_test": 200},
    "small": {"networks": ("lenet",), "n_seeds": 3, "changes": {"n_train": 2000}},
    "full": {"networks": ("lenet", "resnet18", "nasnet", "vit"), "n_seeds": 3, "recipe": "paper"},
}


class MiceToMachines(Study):
    name = "mice-to-machines"
    title = "Mice to machines"
    question = "Do the maps of units resemble those of neurons, and does NeuRN make networks nearer and more robust?"
    citation = QAZI
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
        found = _Found()
        with TemporaryDirectory(prefix="murine-") as folder, progress_bars(progress) as bars:
            store = atlas if isinstance(atlas, murine.Atlas) else murine.Atlas(atlas or folder)
            for source in data or (DATA[scale],):
                _maps(found, source, tuple(networks) or NETWORKS[scale], scale, store, bars, options)
            _architectures(found)
            _domains(found, scale, store, bars, int(options.get("seed", 0)))
        return StudyResult(
            self.name,
            found.tables,
            columns.MICE_TO_MACHINES,
            tuple(found.figures),
            tuple(found.claims),
            tuple(found.notes),
        )


class _Found:
    """What the parts of the study add to its result."""

    def __init__(self) -> None:
        self.tables: dict[str, pd.DataFrame] = {}
        self.figures: list[FigureSpec] = []
        self.claims: list[Claim] = []
        self.notes: list[str] = []


def _maps(
    found: _Found, source: Any, networks: Sequence[str], scale: str, atlas: murine.Atlas, bars: Progress, options: Any
) -> None:
    """Figures 5 and 4 of the paper: RMSE by area, Cre line and cell class, with and without NeuRN."""
    dataset = murine.load_data(source)
    seed, samples = int(options.get("seed", 0)), int(options.get("n_bootstraps", 1000))
    every = [spec for network in networks for spec in (network, _with_neurn(network))]
    rows = compare_maps(every, dataset, input_size=SIDES[scale], seed=seed, atlas=atlas, progress=bars)
    for kind in ("area", "cre_line", "cell_class"):
        if rows[kind].isin(["", "unknown"]).all():
            found.notes.append(f"Left out for {dataset.name}: maps by {kind}. No neuron has a known {kind}.")
            continue
        errors = neuron_map_errors(rows, (kind,))
        has_neurn = errors.network.str.contains(NEURN, regex=False)
        plain, neurn = errors[~has_neurn], errors[has_neurn]
        paired = map_error_differences(plain, neurn, (kind,), n_bootstraps=samples, seed=seed)
        paired = paired.rename(columns={kind: "group"}).assign(kind=kind)
        name = f"{kind.replace('_', '-')}-{dataset.name}"
        found.tables[f"rmse-{name}"] = plain.rename(columns={kind: "group"}).assign(kind=kind)
        found.tables[f"neurn-{name}"] = paired
        found.figures += list(_map_figures(plain.rename(columns={kind: "label"}), paired, kind, name))
        found.claims += list(_map_claims(paired, kind, dataset.name))
        if kind == "cell_class" and set(CLASSES) <= set(plain[kind]):
            row = map_error_contrast(plain, kind, *CLASSES, n_bootstraps=samples, seed=seed)
            found.claims.append(
                Claim.above_zero(
                    f"Maps of excitatory neurons are nearer to units than those of inhibitory ones ({dataset.name}).",
                    row | {"unit": "RMSE"},
                    "excitatory - inhibitory",
                    -1,
                )
            )


def _with_neurn(network: str) -> str:
    name, at, weights = network.partition("@")
    return f"{name}+{NEURN}{at}{weights}"


def _map_figures(plain: pd.DataFrame, paired: pd.DataFrame, kind: str, name: str) -> Iterator[FigureSpec]:
    theirs = _published_medians(kind)
    rows = plain[["label", "rmse"]].assign(published=plain.label.map(theirs))
    shown = rows if rows.published.notna().any() else rows.drop(columns="published")
    words = kind.replace("_", " ")
    yield FigureSpec(
        f"rmse-{name}",
        "violins",
        shown,
        f"Map RMSE of neurons by {words}, {name.rpartition('-')[2]}",
        {"value": "rmse", "unit": "RMSE of maps of unit length"},
    )
    columns = {"group": "label", "before": "without NeuRN", "after": "with NeuRN"}
    yield FigureSpec(
        f"neurn-{name}",
        "paired",
        paired.rename(columns=columns),
        f"Map RMSE with and without NeuRN by {words}: below the diagonal NeuRN is nearer",
        {"first": "without NeuRN", "second": "with NeuRN", "unit": "RMSE", "width": 3.5},
    )


def _published_medians(kind: str) -> dict[str, float]:
    quantity = {"area": "map RMSE by area, median", "cre_line": "map RMSE by genotype, median"}.get(kind)
    if quantity is None:
        return {}
    numbers = published_numbers(QAZI.key, quantity)
    return dict(zip(numbers["item"], numbers.value, strict=True))


def _map_claims(paired: pd.DataFrame, kind: str, name: str) -> Iterator[Claim]:
    theirs = _published_medians(kind)
    for row in paired.to_dict("records"):
        group = row["group"]
        if group in theirs:
            yield Claim.beside(
                f"Map RMSE of {group} ({name}).", theirs[group], row["before"], 0.01, "RMSE", "Published: two-photon."
            )
        yield Claim.above_zero(
            f"NeuRN brings the maps of {group} nearer ({name}).", row, f"with - without NeuRN, {kind}", -1
        )


def _architectures(found: _Found) -> None:
    """The alignments and the heat map of the companion paper."""
    sequences = sequences_as_published("neurn44")
    for row in published_numbers(JALIL.key, "layers in the sequence").to_dict("records"):
        letters = sequences.get(row["item"].lower(), "")
        found.claims.append(Claim.beside(f"Layers of {row['item']}.", row["value"], len(letters), 0, "layers"))
    scores = []
    for row in published_numbers(JALIL.key, "alignment score").to_dict("records"):
        first, second = row["item"].lower().split("-")
        score = float(align(sequences[first], sequences[second]).score)
        scores.append({"item": row["item"], "published": row["value"], "ours": score})
        found.claims.append(Claim.beside(f"Needleman-Wunsch score of {row['item']}.", row["value"], score, 0))
    found.tables["alignments"] = pd.DataFrame(scores)
    names, panels, r, gap = published_agreement()
    ours, theirs = panels.values()
    pairs = [(i, j) for i, j in itertools.combinations(range(len(names)), 2)]
    found.tables["heat-map"] = pd.DataFrame(
        {"first": names[i], "second": names[j], "published": theirs[i, j], "ours": ours[i, j]} for i, j in pairs
    )
    long = [(first, second, ours[i, j]) for i, first in enumerate(names) for j, second in enumerate(names)]
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
    found.claims.append(Claim.beside("Correlation of our heat map with the published one.", 1.0, r, 0.1, "r", told))


def _domains(found: _Found, scale: str, atlas: murine.Atlas, bars: Progress, seed: int) -> None:
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


mice_to_machines = MiceToMachines()
