"""The study of Qazi, Jalil & Iqbal 2025 and of their companion on NeuRN: maps, architectures and unseen domains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import pandas as pd

import murine
from murine.atlas.unit_results import compare_maps
from murine.cortex.representative import CLASSES
from murine.literature import QAZI, published_numbers
from murine.progress import Progress, progress_bars
from murine.studies import columns
from murine.studies.claim import Claim
from murine.studies.findings import Findings
from murine.studies.neurn_paper import add_architectures, add_domains
from murine.studies.neuron_panels import add_map_examples, add_selection
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


class MiceToMachines(Study):
    name = "mice-to-machines"
    title = "Mice to machines"
    question = "Do the maps of units resemble those of neurons, and does NeuRN make networks nearer and more robust?"
    citation = QAZI
    durations = MappingProxyType({"tiny": "1 minute"})

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
        found = Findings()
        with TemporaryDirectory(prefix="murine-") as folder, progress_bars(progress) as bars:
            store = atlas if isinstance(atlas, murine.Atlas) else murine.Atlas(atlas or folder)
            for source in data or (DATA[scale],):
                _maps(found, source, tuple(networks) or NETWORKS[scale], scale, store, bars, options)
            add_architectures(found)
            add_domains(found, scale, store, bars, int(options.get("seed", 0)))
        return found.result(self.name, columns.MICE_TO_MACHINES)


def _maps(
    found: Findings, source: Any, networks: Sequence[str], scale: str, atlas: murine.Atlas, bars: Progress, options: Any
) -> None:
    """Figures 5 and 4 of the paper: RMSE by area, Cre line and cell class, with and without NeuRN."""
    dataset = murine.load_data(source)
    seed, samples = int(options.get("seed", 0)), int(options.get("n_bootstraps", 1000))
    every = [spec for network in networks for spec in (network, _with_neurn(network))]
    rows = compare_maps(every, dataset, input_size=SIDES[scale], seed=seed, atlas=atlas, progress=bars)
    add_selection(found, dataset, seed)
    add_map_examples(found, dataset, networks[0], _with_neurn(networks[0]), rows, SIDES[scale])
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


#: Published medians over networks of the RMSE of each group, by kind of group.
_MEDIANS = {"area": "map RMSE by area, median", "cre_line": "map RMSE by genotype, median"}


def _published_medians(kind: str) -> dict[str, float]:
    if kind not in _MEDIANS:
        return {}
    numbers = published_numbers(QAZI.key, _MEDIANS[kind])
    return dict(zip(numbers["item"], numbers.value, strict=True))


def _map_claims(paired: pd.DataFrame, kind: str, name: str) -> Iterator[Claim]:
    quantity = _MEDIANS.get(kind)
    for column, numbers in (("before", "map RMSE without NeuRN"), ("after", "map RMSE with NeuRN")):
        ours = dict(zip(paired.group, paired[column], strict=True))
        told = "Published: two-photon, 13 networks."
        yield from Claim.of_numbers(QAZI.key, numbers, ours, 0.01, where=name, what=told)
        if quantity and column == "before":
            yield from Claim.of_numbers(QAZI.key, quantity, ours, 0.01, where=name, what=told)
    for row in paired.to_dict("records"):
        group = row["group"]
        yield Claim.above_zero(
            f"NeuRN brings the maps of {group} nearer ({name}).", row, f"with - without NeuRN, {kind}", -1
        )


mice_to_machines = MiceToMachines()
