"""Neurons one by one, as parts of mice-to-machines: which are chosen, their maps, and densities of their cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import murine
from murine.cortex.representative import CLASSES, representative
from murine.errors import MurineError
from murine.literature import QAZI, published_numbers
from murine.studies.claim import Claim
from murine.studies.findings import Findings
from murine.studies.study import FigureSpec
from murine.units.map_examples import extreme_pairs, map_overlaps, maps_side_by_side, nearest_map_cells
from murine.units.site_tables import nearest_layer

#: Neurons of a cluster, clusters in all, and published quantities by label of neurons.
_PER_CLUSTER, _N_CLUSTERS = 50, 20
_COUNTED = {
    "area": "selected neurons by area",
    "cre_line": "selected neurons by genotype",
    "cell_class": "selected neurons by cell class",
}

#: Pairs of each kind of overlap, and maps that are shown.
_N_PAIRS, _N_MAPS = 10, 4


def add_selection(found: Findings, dataset: murine.Dataset, seed: int) -> None:
    """The 1,000 chosen neurons, counted per area, line and class, and the embedding that they are chosen in."""
    recording = _recording(dataset)
    classes = np.asarray(recording["cell_class"]).astype(str)
    groups = CLASSES if set(CLASSES) <= set(classes) else tuple(sorted(set(classes) - {""}))
    fewest = min(int((classes == group).sum()) for group in groups)
    n_clusters = _N_CLUSTERS // len(groups) if len(groups) <= _N_CLUSTERS else 1
    per_cluster = min(_PER_CLUSTER, fewest // (2 * n_clusters))
    try:
        chosen = representative(
            recording,
            stimuli=dataset.stimuli,
            groups=groups,
            n_clusters=n_clusters,
            n_per_cluster=per_cluster,
            seed=seed,
        )
    except MurineError as error:
        found.notes.append(f"The choice of neurons is left out for {dataset.name}: {error}")
        return
    whole = chosen.embedded
    n = int(np.asarray(whole["chosen"]).sum())
    if groups != CLASSES:
        found.notes.append(
            f"{dataset.name} does not know which neurons are inhibitory, so {n} neurons are chosen from all together."
        )
    counts = pd.concat([_counts(whole, label) for label in _COUNTED if label in whole.dataset], ignore_index=True)
    found.tables[f"selected-{dataset.name}"] = counts
    points = pd.DataFrame({name: np.asarray(whole[name]) for name in ("umap_1", "umap_2", "area", "cell_class")})
    for label in ("area", "cell_class"):
        if points[label].nunique() > 1:
            found.figures.append(
                FigureSpec(
                    f"embedding-{label.replace('_', '-')}-{dataset.name}",
                    "relation",
                    points,
                    f"{dataset.name}: neurons by their maps (UMAP, each class by itself), by {label.replace('_', ' ')}",
                    {"x": "umap_1", "y": "umap_2", "group": label, "x_unit": "UMAP 1", "y_unit": "UMAP 2"},
                )
            )
    if n == _PER_CLUSTER * _N_CLUSTERS:
        for kind, own in counts.groupby("kind"):
            ours = dict(zip(own.group, own.n_neuroids.astype(float), strict=True))
            told = "At most a tenth more or less is allowed."
            numbers = Claim.of_numbers(
                QAZI.key, _COUNTED[str(kind)], ours, lambda x: 0.1 * x, where=dataset.name, what=told
            )
            found.claims += numbers


def _recording(dataset: murine.Dataset) -> murine.Recording:
    if isinstance(dataset.responses, murine.Recording):
        return dataset.responses
    raise MurineError(f"{dataset.name!r} has no single neurons; this study needs them.")


def _counts(whole: murine.Recording, label: str) -> pd.DataFrame:
    values = pd.Series(np.asarray(whole[label]).astype(str))
    own = values[values != ""]
    ours = own[np.asarray(whole["chosen"])[own.index]].value_counts()
    published = published_numbers(QAZI.key, _COUNTED[label]).set_index("item").value
    groups = sorted(set(own))
    return pd.DataFrame(
        {
            "kind": label,
            "group": groups,
            "n_neuroids": [int(ours.get(group, 0)) for group in groups],
            "n_available": [int((own == group).sum()) for group in groups],
            "published": [float(published.get(group, np.nan)) for group in groups],
        }
    )


def add_map_examples(
    found: Findings, dataset: murine.Dataset, plain: str, neurn: str, rows: pd.DataFrame, input_size: Any
) -> None:
    """Maps of neurons beside those of their nearest units, plain and with NeuRN, and densities of their cells."""
    cells = {}
    for words, name in (("NeuRN unit", neurn), ("plain unit", plain)):
        network = murine.load_network(name, input_size=input_size)
        own = rows[(rows.network == network.name) & rows.rmse_best.notna()]
        cells[words] = nearest_map_cells(network, dataset.stimuli, _recording(dataset), nearest_layer(own))
    overlaps = map_overlaps(cells["NeuRN unit"])
    area = dict(zip(rows.neuroid_id, rows.area, strict=True))
    found.tables[f"map-overlaps-{dataset.name}"] = overlaps.rename("overlap").reset_index()
    for size, names in extreme_pairs(overlaps, _N_PAIRS).items():
        panels = {name: f"{name}\n{area[name]}, overlap {overlaps[name]:.2f}" for name in names}
        shown = maps_side_by_side(cells, names)
        shown = shown.assign(panel=shown.neuroid_id.map(panels))
        file = f"{size.replace(' ', '-')}-{dataset.name}"
        title = f"{dataset.name}: neurons and their nearest units in {plain}, {size} of the densities of map cells"
        found.figures.append(
            FigureSpec(f"densities-{file}", "density_panels", shown, title, {"unit": "cell of a map of unit length"})
        )
        few = shown[shown.neuroid_id.isin(names[:_N_MAPS])]
        unit = "Maps of unit length, each with its own range; blue above zero, orange below."
        found.figures.append(FigureSpec(f"maps-{file}", "map_pictures", few, title, {"unit": unit}))
