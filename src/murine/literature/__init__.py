"""Publications that results rest on, and the numbers that they state.

`Citation` is a publication; methods and data sets name theirs. `published_numbers` returns the numbers of the papers
that murine repeats, each with a mark that says how sure it is. Nothing here computes anything.
"""

from murine.literature.publications import (
    CONWELL,
    DE_VRIES,
    EFRON,
    JALIL,
    KORNBLITH,
    KRIEGESKORTE,
    KRIEGESKORTE_92,
    MUR,
    NAYEBI,
    NILI,
    OBSERVATORY,
    QAZI,
    SCHUETT,
    SIEGLE,
    SONG,
    WALTHER,
    WILLIAMS,
    Citation,
)
from murine.literature.published_numbers import MARKS, published_numbers, published_value

__all__ = [
    "CONWELL",
    "DE_VRIES",
    "EFRON",
    "JALIL",
    "KORNBLITH",
    "KRIEGESKORTE",
    "KRIEGESKORTE_92",
    "MARKS",
    "MUR",
    "NAYEBI",
    "NILI",
    "OBSERVATORY",
    "QAZI",
    "SCHUETT",
    "SIEGLE",
    "SONG",
    "WALTHER",
    "WILLIAMS",
    "Citation",
    "published_numbers",
    "published_value",
]
