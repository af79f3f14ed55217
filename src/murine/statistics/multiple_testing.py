"""p-values where many were looked at: the best of many layers, and many sites."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from murine.errors import MurineError

#: Ways to adjust p-values: Benjamini-Hochberg, Benjamini-Yekutieli (false discovery rate), Holm (family-wise error).
ADJUSTMENTS = ("bh", "by", "holm")


def max_statistic_p_values(
    scores: Float[np.ndarray, "n_layers n_sites"], null: Float[np.ndarray, "n_draws n_layers n_sites"]
) -> Float[np.ndarray, "n_layers n_sites"]:
    """One-sided p of each layer that takes into account that the best of all of them is looked at.

    Compares each score with the *largest* of all layers under each relabelling (Westfall & Young's maximum statistic):
    (1 + number of relabellings whose largest is at least as high) / (1 + number). The p of a site's best layer is that
    of having found one so good among so many; the others' hold for all layers of the site together, however they
    depend on each other.

    Parameters
    ----------
    null
        Scores under relabelled stimuli, the same relabelling for all layers.

    Returns
    -------
    p
        NaN where the score is. A layer without a score counts in no maximum.
    """
    scored = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        largest = np.where(scored & ~np.isnan(null), null, -np.inf).max(axis=1, initial=-np.inf)
        reached = (largest[:, None] >= scores.astype(null.dtype)).sum(axis=0)
    return np.where(scored, (1 + reached) / (1 + len(null)), np.nan)


def adjust_p_values(p: Float[np.ndarray, "..."], method: str = "bh") -> Float[np.ndarray, "..."]:
    """p-values adjusted for all of them having been looked at; those below a level are the discoveries at that level.

    Parameters
    ----------
    p
        Any shape, one family. NaN is no test: it stays, and does not count.
    method
        ``bh``: false discovery rate where tests are independent or positively dependent, as sites of one cortex seen
        with the same images are (Benjamini & Hochberg 1995). ``by``: with any dependence (Benjamini & Yekutieli 2001).
        ``holm``: the chance of any false one (Holm 1979).

    Raises
    ------
    MurineError
        Unknown method, or a p that is not between 0 and 1.
    """
    if method not in ADJUSTMENTS:
        raise MurineError(f"no adjustment of p-values is called {method!r}; expected one of {', '.join(ADJUSTMENTS)}.")
    tests = p[~np.isnan(p)]
    if len(tests) and not (tests.min() >= 0 and tests.max() <= 1):
        raise MurineError(f"p-values lie between 0 and 1; given were {tests.min():g} to {tests.max():g}.")
    order = tests.argsort()
    rank = np.arange(1, len(tests) + 1)
    if method == "holm":
        ordered = np.maximum.accumulate(tests[order] * rank[::-1])
    else:
        factor = len(tests) / rank * ((1 / rank).sum() if method == "by" else 1)
        ordered = np.minimum.accumulate((tests[order] * factor)[::-1])[::-1]
    adjusted = np.empty_like(tests)
    adjusted[order] = np.minimum(ordered, 1)
    out = np.full(p.shape, np.nan)
    out[~np.isnan(p)] = adjusted
    return out
