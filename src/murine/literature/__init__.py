"""Publications that results rest on, and the numbers that they state.

`Citation` is a publication; methods and data sets name theirs. `published_numbers` returns the numbers of the papers
that murine repeats, each with a mark that says how certain it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.literature.publications import CONWELL as CONWELL
    from murine.literature.publications import DE_VRIES as DE_VRIES
    from murine.literature.publications import EFRON as EFRON
    from murine.literature.publications import JALIL as JALIL
    from murine.literature.publications import KORNBLITH as KORNBLITH
    from murine.literature.publications import KRIEGESKORTE as KRIEGESKORTE
    from murine.literature.publications import KRIEGESKORTE_92 as KRIEGESKORTE_92
    from murine.literature.publications import MUR as MUR
    from murine.literature.publications import NAYEBI as NAYEBI
    from murine.literature.publications import NILI as NILI
    from murine.literature.publications import OBSERVATORY as OBSERVATORY
    from murine.literature.publications import QAZI as QAZI
    from murine.literature.publications import SCHUETT as SCHUETT
    from murine.literature.publications import SIEGLE as SIEGLE
    from murine.literature.publications import SONG as SONG
    from murine.literature.publications import WALTHER as WALTHER
    from murine.literature.publications import WILLIAMS as WILLIAMS
    from murine.literature.publications import Citation as Citation
    from murine.literature.stated_numbers import MARKS as MARKS
    from murine.literature.stated_numbers import published_numbers as published_numbers
    from murine.literature.stated_numbers import published_value as published_value

__getattr__, __dir__, __all__ = lazy_exports(__name__)
