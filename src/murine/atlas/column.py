"""One column of a table: what it means, its unit, and when it is empty."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """The description of one column.

    Attributes
    ----------
    meaning
        What a cell holds, in one or two sentences.
    unit
        The unit of a number; ``text``, ``yes or no`` or ``list`` for other cells.
    empty
        When a cell is empty: null, NaN or the empty text. ``never`` if it always has a value.

    Examples
    --------
    >>> from murine.atlas.columns import PARQUET
    >>> PARQUET["scores"]["depth"].unit
    'share of the network, 0 to 1'
    """

    meaning: str
    unit: str = "text"
    empty: str = "never"


#: Units that several columns share.
SCALE, CEILED, NUMBER, P = "the metric's scale", "share of the ceiling", "count", "probability"
R = "Pearson's r, -1 to 1"
