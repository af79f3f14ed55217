"""Limits of numbers that users give: a number outside is likely a typing error and is refused before anything runs."""

from __future__ import annotations

import math
from typing import NamedTuple

from murine.errors import MurineError


class Limits(NamedTuple):
    """The least and the greatest number that makes sense; both are allowed."""

    least: float
    most: float

    def check(self, name: str, value: float | None) -> None:
        """Refuse a number outside, or one that is none (NaN).

        Parameters
        ----------
        name
            What the number is called where it was given: ``--seed``, ``n_splits``.
        value
            None is allowed: nothing was given.
        """
        if value is None or self.least <= value <= self.most:
            return
        least, most = (f"{end:g}" if isinstance(end, float) else str(end) for end in self)
        given = value if math.isfinite(value) else str(value)
        raise MurineError(f"{name} is {given}; expected a number from {least} to {most}.")


#: What NumPy, PyTorch and a column of 64 bits hold.
SEED = Limits(0, 2**63 - 1)

#: Samples are kept, 8 bytes for each score: a million of one score are 8 MB.
BOOTSTRAPS = Limits(2, 1_000_000)
PERMUTATIONS = Limits(0, 1_000_000)
SPLITS = Limits(1, 100_000)
SHUFFLES = Limits(1, 10_000)

#: Pixels along a side of an image. No network of the catalogue takes more than 1,024.
INPUT_SIZE = Limits(1, 4096)
BATCH_SIZE = Limits(2, 1_000_000)

#: Processes or threads.
JOBS = Limits(1, 1024)

#: Rows, networks, images: how many of something.
COUNT = Limits(1, 2**31 - 1)
SECONDS = Limits(0.1, 86_400.0)
RELIABILITY = Limits(-1.0, 1.0)
