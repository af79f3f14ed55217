"""Which functions of murine check what they are given in tests, and how (see conftest)."""

from __future__ import annotations

from pathlib import Path

import beartype
from numpy.typing import ArrayLike

SOURCE = Path(__file__).parents[2] / "src"

# For beartype a tuple of strings is no ArrayLike and an int no float; for numpy and type checkers they are.
_frozen = getattr(beartype, "FrozenDict", None) or beartype.BeartypeHintOverrides
checked = beartype.beartype(
    conf=beartype.BeartypeConf(hint_overrides=_frozen({ArrayLike: object}), is_pep484_tower=True)
)


def modules_of_arrays() -> list[str]:
    """The modules whose annotations give shapes of arrays.

    Shapes can only be checked while the code runs; everything else is mypy's (`test_types.py`), and checking it again
    would take a fifth of the time of the tests.
    """
    files = [f for f in SOURCE.rglob("*.py") if "jaxtyping" in f.read_text("utf-8")]
    return [".".join(f.relative_to(SOURCE).with_suffix("").parts) for f in files]
