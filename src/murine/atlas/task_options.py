"""From what a person asks for to the settings of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from murine.atlas.identity import CortexSettings
from murine.atlas.sweep import SweepSettings
from murine.errors import MurineError
from murine.scoring.settings import ScoreSettings
from murine.scoring.treatments import Treatment, chosen_treatments

#: Published protocols: each fixes metrics, the treatment and how layers are chosen.
PROTOCOLS = ("murine", "conwell2021")

USUAL_METRIC = "rsa-pearson"


def sweep_settings(
    cortex: str,
    *,
    by: str | Sequence[str],
    select: Mapping[str, object] | None,
    min_reliability: float | None,
    n_splits: int,
    metric: str | Sequence[str],
    protocol: str,
    normalise: str,
    normalise_neurons: str | None,
    normalise_features: str | None,
    dissimilarity: str,
    n_bootstraps: int,
    n_permutations: int,
    over: str,
    seed: int,
    layers: str,
    input_sizes: Any,
    data: str | Path | None,
    stimuli: str | Path | None,
    batch_size: int | None,
    device: str,
) -> list[SweepSettings]:
    """Return the settings of a sweep for each input size; options are those of `murine.compare`.

    Raises
    ------
    MurineError
        If an option is unknown, or a published protocol is combined with what it fixes.
    """
    metrics, settings, treatments = _score_settings(
        metric=metric,
        protocol=protocol,
        normalise=normalise,
        normalise_neurons=normalise_neurons,
        normalise_features=normalise_features,
        dissimilarity=dissimilarity,
        n_bootstraps=n_bootstraps,
        n_permutations=n_permutations,
        over=over,
        seed=seed,
    )
    neurons = _cortex_settings(cortex, by, select, min_reliability, dissimilarity, n_splits)
    return [
        SweepSettings(
            neurons,
            metrics,
            layers,
            input_size,
            settings,
            None if data is None else Path(data),
            None if stimuli is None else Path(stimuli),
            batch_size,
            device,
            treatments,
        )
        for input_size in _sizes(input_sizes)
    ]


def _cortex_settings(
    name: str,
    by: str | Sequence[str],
    select: Mapping[str, object] | None,
    min_reliability: float | None,
    dissimilarity: str,
    n_splits: int,
) -> CortexSettings:
    """Return which neurons are used, and how they are grouped."""
    labels = by.split(",") if isinstance(by, str) else by
    pairs = []
    for key, value in (select or {}).items():
        values = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
        pairs += [(str(key), str(each)) for each in values]
    return CortexSettings(
        cortex=name,
        by=tuple(label.strip() for label in labels if label.strip()),
        select=tuple(sorted(pairs)),
        min_reliability=min_reliability,
        dissimilarity=dissimilarity,
        n_splits=n_splits,
    )


def _score_settings(
    *,
    metric: str | Sequence[str],
    protocol: str,
    normalise: str,
    normalise_neurons: str | None,
    normalise_features: str | None,
    dissimilarity: str,
    n_bootstraps: int,
    n_permutations: int,
    over: str,
    seed: int,
) -> tuple[tuple[str, ...], ScoreSettings, tuple[Treatment, ...]]:
    """Return the metrics, how scores are computed, and the treatments of neurons and features."""
    if protocol not in PROTOCOLS:
        raise MurineError(f"there is no protocol {protocol!r}; expected {' or '.join(PROTOCOLS)}.")
    if over not in ("", "neurons", "animals", "both"):
        raise MurineError(f"over is {over!r}; expected neurons, animals, both, or nothing.")
    metrics = (metric,) if isinstance(metric, str) and metric else tuple(metric)
    if protocol != "murine":
        changed = {
            "--metric": bool(metrics),
            "--normalise": normalise != "none",
            "--normalise-neurons": normalise_neurons is not None,
            "--normalise-features": normalise_features is not None,
            "--dissimilarity": dissimilarity != "pearson",
        }
        if given := [name for name, is_given in changed.items() if is_given]:
            raise MurineError(
                f"--protocol {protocol} fixes the metrics and how both sides are treated; it cannot be combined with "
                f"{', '.join(given)}. Leave one of them out."
            )
        metrics = (protocol,)
    settings = ScoreSettings(
        n_bootstraps,
        n_permutations,
        seed,
        over,  # type: ignore[arg-type]
        layer_choice="held-out" if protocol == "murine" else "naive",
    )
    treatments = chosen_treatments(normalise, normalise_neurons, normalise_features)
    return tuple(dict.fromkeys(metrics or (USUAL_METRIC,))), settings, treatments


def _sizes(input_size: Any) -> list[Any]:
    """Return input sizes as a list: of one size, or of the list that was given, each once."""
    return list(dict.fromkeys(input_size)) if isinstance(input_size, list) and input_size else [input_size or None]
