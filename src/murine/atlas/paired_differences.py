"""The difference between every two networks, with an interval from bootstrap draws that both share."""

from __future__ import annotations

from itertools import combinations

import pandas as pd

from murine.atlas.leaderboard import MIN_CEILING, comparable_sets, entries_and_samples


def pairwise_differences(rows: pd.DataFrame, min_ceiling: float = MIN_CEILING) -> pd.DataFrame:
    """Compare every two networks of each set of comparable results, with paired bootstrap draws.

    Parameters
    ----------
    rows, min_ceiling
        As in `murine.atlas.leaderboard.ranked`.

    Returns
    -------
    table
        One row per pair, the higher score first: ``cortex, metric, treatment, setting, network, weights, other,
        other_weights``; ``difference, low, high``: difference of the values that networks are ranked by (means over
        sites), with its 95 % interval; ``differs``: whether the interval excludes zero; ``unit`` as in
        `murine.atlas.leaderboard.leaderboards`.

    Examples
    --------
    >>> import murine
    >>> scores = murine.compare(["pixels", "gabor"], controls=False, n_bootstraps=20, n_permutations=20)
    >>> table = pairwise_differences(scores.chosen)
    >>> print(table[["network", "other", "difference", "differs"]].round(2).to_string(index=False))
    network  other  difference  differs
      gabor pixels        0.57     True
    """
    found = []
    for board in comparable_sets(rows):
        entries, samples = entries_and_samples(board, min_ceiling)
        order = sorted(range(len(entries)), key=lambda i: -samples[i].value)
        for (i, first), (j, second) in combinations([(i, entries[i]) for i in order], 2):
            difference = samples[i] - samples[j]
            low, high = difference.interval()
            shared = {key: first[key] for key in ("cortex", "metric", "treatment", "setting", "network", "weights")}
            found.append(
                {
                    **shared,
                    "other": second["network"],
                    "other_weights": second["weights"],
                    "difference": difference.value,
                    "low": low,
                    "high": high,
                    "differs": bool(low > 0 or high < 0),
                    "unit": first["unit"],
                }
            )
    columns = [*("cortex", "metric", "treatment", "setting", "network", "weights", "other", "other_weights")]
    return pd.DataFrame(found, columns=[*columns, "difference", "low", "high", "differs", "unit"])
