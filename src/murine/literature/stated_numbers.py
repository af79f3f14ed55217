"""The numbers that papers state, with a mark that says how sure each one is.

They stand in ``published_numbers.csv`` beside this module and nowhere else in the code.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from io import StringIO
from typing import TYPE_CHECKING

from murine.errors import MurineError, nearest

if TYPE_CHECKING:
    import pandas as pd

#: What the mark of a number means.
MARKS = {
    "V": "printed in the source",
    "F": "measured from a published figure",
    "S": "from a secondary summary",
    "I": "inferred from other facts",
    "M": "from memory of the literature",
}

COLUMNS = ("paper", "quantity", "item", "value", "error", "unit", "mark", "source")


@cache
def _table() -> pd.DataFrame:
    import pandas as pd

    text = (files("murine.literature") / "published_numbers.csv").read_text("utf-8")
    return pd.read_csv(StringIO(text), keep_default_na=False, na_values={"error": [""]}, dtype={"value": float})


def published_numbers(paper: str | None = None, quantity: str | None = None) -> pd.DataFrame:
    """Return the numbers that papers state.

    Parameters
    ----------
    paper
        Only those of one paper, by the key of its citation, as ``Conwell et al. 2021``.
    quantity
        Only those of one quantity, as ``noise ceiling of a site``.

    Returns
    -------
    numbers
        A row for each number: ``paper, quantity, item`` (what it is of, as an area), ``value``, ``error`` (of the
        reading or a standard error; NaN where none is stated), ``unit``, ``mark`` (`MARKS`) and ``source``. A number
        that several sources state differently has a row for each.

    Raises
    ------
    MurineError
        If there is no such paper or quantity.

    Examples
    --------
    >>> published_numbers("Conwell et al. 2021", "noise ceiling of a site").value.max().item()
    0.931
    """
    found = _table()
    for column, wanted in (("paper", paper), ("quantity", quantity)):
        if wanted is None:
            continue
        known = sorted(found[column].unique())
        if wanted not in known:
            raise MurineError(
                f"there are no published numbers with the {column} {wanted!r}{nearest(wanted, known) or '.'} Known: "
                f"{', '.join(known)}."
            )
        found = found[found[column] == wanted]
    return found.reset_index(drop=True)


def published_value(paper: str, quantity: str, item: str) -> float:
    """Return one number that a paper states once.

    Raises
    ------
    MurineError
        If there is no such number, or there are several.

    Examples
    --------
    >>> published_value("Jalil et al. 2025", "alignment score", "VGG16-VGG19")
    15.0
    """
    numbers = published_numbers(paper, quantity)
    found = numbers[numbers.item == item].value.tolist()
    if len(found) != 1:
        raise MurineError(
            f"{paper} has {len(found) or 'no'} numbers for {quantity!r} of {item!r}; it has those of "
            f"{', '.join(numbers.item.unique())}."
        )
    return float(found[0])
