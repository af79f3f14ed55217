"""p-values corrected for many tests: the best of many layers, and many sites."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from murine.errors import MurineError

#: Ways to adjust p-values: Benjamini-Hochberg, Benjamini-Yekutieli (false discovery rate), Holm (family-wise error).
ADJUSTMENTS = ("bh", "by", "holm")


def max_statistic_p_values(
    scores: Float[np.ndarray, "n_layers n_sites"], null: Float[np.ndarray, "n_draws n_layers n_sites"]
) -> Float[np.ndarray, "n_layers n_sites"]:
    """Return one-sided p-values of all layers, corrected for the selection of the best layer.

    Each score is compared with the *largest* score of all layers under each relabelling of the stimuli (the maximum
    statistic of Westfall & Young 1993): p = (1 + number of relabellings whose maximum is at least the score) / (1 +
    number of relabellings). This is valid whatever the dependence between layers.

    Parameters
    ----------
    scores
        (n_layers, n_sites).
    null
        (n_draws, n_layers, n_sites): scores under relabelled stimuli. Each relabelling is the same for all layers.

    Returns
    -------
    p
        (n_layers, n_sites); NaN where the score is NaN. A layer without a score takes no part in the maximum.

    Examples
    --------
    >>> import numpy as np
    >>> null = np.random.default_rng(0).normal(size=(999, 20, 1))
    >>> scores = np.zeros((20, 1))
    >>> scores[0] = 2.5
    >>> max_statistic_p_values(scores, null)[0].round(2)  # alone, this score would have p = 0.006
    array([0.1])
    """
    scored = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        largest = np.where(scored & ~np.isnan(null), null, -np.inf).max(axis=1, initial=-np.inf)
        reached = (largest[:, None] >= scores.astype(null.dtype)).sum(axis=0)
    return np.where(scored, (1 + reached) / (1 + len(null)), np.nan)


def adjust_p_values(p: Float[np.ndarray, "..."], method: str = "bh") -> Float[np.ndarray, "..."]:
    """Adjust the p-values of a family of tests. Those below a level are the discoveries at that level.

    Parameters
    ----------
    p
        Any shape; all values are one family. NaN means that there was no test: it stays NaN and does not count.
    method
        ``bh``: false discovery rate for independent or positively dependent tests, such as sites of one cortex seen
        with the same images (Benjamini & Hochberg 1995). ``by``: false discovery rate under any dependence (Benjamini &
        Yekutieli 2001). ``holm``: probability of at least one false discovery (Holm 1979).

    Returns
    -------
    adjusted
        The shape of ``p``.

    Raises
    ------
    MurineError
        If the method is unknown or a p-value is not between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> adjust_p_values(np.array([0.01, 0.04, np.nan, 0.03]))
    array([0.03, 0.04,  nan, 0.04])
    """
    if method not in ADJUSTMENTS:
        raise MurineError(f"unknown adjustment of p-values {method!r}; expected one of {', '.join(ADJUSTMENTS)}.")
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
