"""Every pair of networks aligned, as a table, and which network agrees least with a published matrix."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from murine.architecture.alignment import Alignment, align_all
from murine.architecture.named_sequences import NamedSequence
from murine.architecture.sequence_similarity import similarities


def align_pairs(networks: Sequence[NamedSequence]) -> tuple[pd.DataFrame, list[tuple[str, str, Alignment]]]:
    """Align every pair of networks.

    Returns
    -------
    table
        A row for each pair: first, second, layers, "of second" (numbers of letters), score, matches, mismatches, gaps,
        source, "source of second", aligned, "aligned second" (with gaps), and each of `similarities`.
    alignments
        In the same order: the names of both networks, and their alignment.

    Examples
    --------
    >>> from murine.architecture.named_sequences import NamedSequence
    >>> table, _ = align_pairs([NamedSequence("a", "CCML", "made"), NamedSequence("b", "CML", "made")])
    >>> table[["score", "matches", "gaps"]].values.tolist()
    [[1, 3, 1]]
    """
    alignments = [
        (first.name, second.name, one)
        for (first, second), one in zip(
            itertools.combinations(networks, 2), align_all([network.letters for network in networks]), strict=True
        )
    ]
    own = {network.name: network for network in networks}
    table = pd.DataFrame(
        {
            "first": first,
            "second": second,
            "layers": len(own[first].letters),
            "of second": len(own[second].letters),
            "score": one.score,
            "matches": one.n_matches,
            "mismatches": one.n_mismatches,
            "gaps": one.n_gaps,
            "source": own[first].source,
            "source of second": own[second].source,
            "aligned": one.first,
            "aligned second": one.second,
        }
        for first, second, one in alignments
    )
    pairs = np.triu_indices(len(networks), 1)
    for name in similarities:
        table[name] = similarities[name]([network.letters for network in networks])[pairs]
    return table, alignments


def least_agreeing_row(
    ours: Float[np.ndarray, "n_networks n_networks"], theirs: Float[np.ndarray, "n_networks n_networks"]
) -> tuple[int, float]:
    """Return the row in which two matrices agree least, and Pearson's r of both rows; the diagonal does not count.

    Examples
    --------
    >>> import numpy as np
    >>> ours = np.array([[1.0, 2, 3, 4], [2, 1, 3, 5], [3, 3, 1, 9], [4, 5, 9, 1]])
    >>> theirs = ours.copy()
    >>> theirs[2] = [9, 5, 1, 3]
    >>> row, r = least_agreeing_row(ours, theirs)
    >>> row, r < 0
    (2, True)
    """
    others = ~np.eye(len(ours), dtype=bool)
    rows = [float(np.corrcoef(a[own], b[own])[0, 1]) for a, b, own in zip(ours, theirs, others, strict=True)]
    worst = int(np.argmin(rows))
    return worst, rows[worst]
