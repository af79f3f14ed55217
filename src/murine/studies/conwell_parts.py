"""Further parts of rodent-taskonomy: the published protocol beside ours, scores by label, and encoders by cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

import murine
from murine.networks.sources.taskonomy import CLUSTERS
from murine.studies.study import FigureSpec

#: Labels of neurons that scores are told by, beside the area.
LABELS = ("cre_line", "cell_class")

#: These parts show neither controls nor p-values.
_PLAIN: dict[str, Any] = {"controls": False, "n_permutations": 0}


def protocol_scores(names: Sequence[str], dataset: murine.Dataset, options: Mapping[str, Any]) -> murine.Scores | None:
    """Score networks by the published protocol; None where there are no single neurons, which it needs."""
    if isinstance(dataset.responses, murine.NeuralRDMs):
        return None
    asked = {name: value for name, value in options.items() if name not in ("metric", "normalise")}
    return murine.compare(names, dataset, **{**asked, "protocol": "conwell2021", **_PLAIN})


def beside_protocol(ours: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of the same networks by our ridge regression and by the published protocol.

    Parameters
    ----------
    ours, published
        Leaderboards.

    Returns
    -------
    table
        ``network, weights, ours, protocol``, one row for each network that both have.
    """
    key = ["network", "weights"]
    one = ours[(ours.metric == "ridge") & (ours.treatment == "both as they are")]
    two = published[published.metric == "ridge-conwell2021-per-neuron"]
    both = one.set_index(key).value.rename("ours"), two.set_index(key).value.rename("protocol")
    return pd.concat(both, axis=1, join="inner").reset_index()


def label_scores(
    names: Sequence[str], dataset: murine.Dataset, options: Mapping[str, Any]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Score networks by each label of neurons with at least two known values; nothing for other data."""
    if isinstance(dataset.responses, murine.NeuralRDMs):
        return
    for label in LABELS:
        if label not in dataset.responses.dataset:
            continue
        values = sorted(set(np.asarray(dataset.responses[label]).astype(str)) - {"", "unknown"})
        if len(values) < 2:
            continue
        scores = murine.compare(names, dataset, **{**options, "by": label, "select": {label: values}, **_PLAIN})
        kept = ["network", "weights", "metric", "treatment", "site", "score", "ceiling", "ceiled", "n_neuroids"]
        yield label, scores.table[kept]


def encoders(board: pd.DataFrame) -> pd.DataFrame:
    """Return the 24 encoders of Taskonomy by cluster, with the scores of those that were scored.

    Parameters
    ----------
    board
        A leaderboard.

    Returns
    -------
    table
        ``cluster, network, value`` (NaN where it was not scored) and ``note``, which says why.
    """
    shown = board[board.metric == board.metric.iloc[0]].drop_duplicates("network")
    values = shown[shown.role == "trained"].set_index("network").value
    rows = [(cluster, f"taskonomy:{task}") for cluster, tasks in CLUSTERS.items() for task in tasks]
    table = pd.DataFrame(rows, columns=["cluster", "network"])
    table["value"] = table.network.map(values).astype(float)
    missing = "missing: its weights were not fetched (--network taskonomy:NAME)"
    return table.assign(note=np.where(table.value.isna(), missing, ""))


def part_figures(own: Mapping[str, pd.DataFrame], name: str) -> Iterator[FigureSpec]:
    """Draw what there is: protocols against each other, scores by label, encoders where some have scores."""
    if "protocols" in own and len(own["protocols"]) > 1:
        rows = own["protocols"].rename(columns={"ours": "held-out layer", "protocol": "published protocol"})
        kinds = np.where(rows.weights.str.startswith("random"), "random", "trained")
        yield FigureSpec(
            f"protocols-{name}",
            "paired",
            rows.assign(label=rows.network, kind=kinds),
            f"{name}, ridge regression: the published protocol beside ours",
            {
                "first": "held-out layer",
                "second": "published protocol",
                "unit": "share of the ceiling",
                "group": "kind",
            },
        )
    for label in LABELS:
        if (table := own.get(f"by-{label.replace('_', '-')}")) is not None:
            shown = table[(table.metric == "rsa-pearson") & (table.treatment == "both z-scored")]
            if len(shown):
                yield FigureSpec(
                    f"by-{label.replace('_', '-')}-{name}",
                    "violins",
                    shown.assign(label=shown.site),
                    f"{name}: RSA of networks by {label.replace('_', ' ')}, both sides z-scored",
                    {"value": "score", "unit": "Pearson's r of dissimilarities"},
                )
    known = own["encoders"].dropna(subset="value")
    if len(known):
        yield FigureSpec(
            f"encoders-{name}",
            "violins",
            known.assign(label=known.cluster),
            f"{name}: encoders of Taskonomy by cluster",
            {"value": "value", "unit": "score"},
        )
