"""Settings that must be equal in results that are ranked together, and their differences in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from murine.atlas.store import Atlas

#: Columns of scores that describe the computation, apart from the metric and the treatment.
SETTINGS = [
    *("cortex_digest", "cortex_settings", "layers", "method", "n_bootstraps", "seed", "over", "n_subject_draws"),
    "layer_choice",
]

#: Columns of scores that say how neurons and features were treated.
TREATMENT = ["normalise_neurons", "normalise_features"]

#: Names for readers, where the name of the column says little; and values that count as empty.
_NAMES = {
    "cortex_digest": "data",
    "n_bootstraps": "bootstraps",
    "n_subject_draws": "subject draws",
    "layer_choice": "layer choice",
}
_EMPTY = {"by": "default", "over": "stimuli"}


def distinctions(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how each of several settings differs from the others, in words: ``by area, seed 1``; '' if it does not."""
    keys = dict.fromkeys(key for own in settings for key in own)
    different = [key for key in keys if any(own.get(key) != settings[0].get(key) for own in settings)]
    return [
        ", ".join(
            f"{_NAMES.get(key, key)} {_short(own[key]) or _EMPTY.get(key, 'none')}" for key in different if key in own
        )
        for own in settings
    ]


def add_setting(atlas: Atlas, rows: pd.DataFrame) -> pd.DataFrame:
    """Add a column ``setting`` to rows of scores: how results for the same cortex were computed, in words.

    Groupings of neurons, selections, versions of the data, patterns of layers, numbers of samples and seeds. The
    treatment and the metric have columns of their own."""
    words: dict[tuple[Any, ...], str] = {}
    for cortex, mine in rows.groupby("cortex"):
        kinds = mine.drop_duplicates(SETTINGS)
        settings = []
        for row in kinds.to_dict("records"):
            own = {name: row[name] for name in SETTINGS if name != "cortex_settings"}
            settings.append({**atlas.about(row["task"])["task"]["cortex"], **own})
        for key, text in zip(kinds[SETTINGS].itertuples(index=False), distinctions(settings), strict=True):
            words[(cortex, *key)] = text
    keys = rows[["cortex", *SETTINGS]].itertuples(index=False)
    return rows.assign(setting=[words[tuple(key)] for key in keys])


def _short(value: object) -> str:
    if isinstance(value, list):
        return " x ".join(" ".join(map(str, v)) if isinstance(v, list) else str(v) for v in value)
    text = str(value)
    return text[:8] if re.fullmatch(r"[0-9a-f]{32,}", text) else text
