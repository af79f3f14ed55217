"""The checker that every function of murine gets in tests (see conftest)."""

from __future__ import annotations

import beartype
from numpy.typing import ArrayLike

# For beartype a tuple of strings is no ArrayLike and an int no float; for numpy and type checkers they are.
_frozen = getattr(beartype, "FrozenDict", None) or beartype.BeartypeHintOverrides
checked = beartype.beartype(
    conf=beartype.BeartypeConf(hint_overrides=_frozen({ArrayLike: object}), is_pep484_tower=True)
)
