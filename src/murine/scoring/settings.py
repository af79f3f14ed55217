"""Settings of scores, in a module that is quick to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from murine.limits import BOOTSTRAPS, COUNT, PERMUTATIONS, SEED


@dataclass(frozen=True)
class ScoreSettings:
    """How scores are computed: number of bootstrap samples and permutations, and their seed.

    Attributes
    ----------
    over
        What is resampled besides stimuli: ``neurons``, ``animals`` or ``both`` (`murine.scoring.subject_bootstrap`); ''
        for nothing.
    n_subject_draws
        Number of samples of neurons or animals, at most ``n_bootstraps``.
    layer_choice
        ``held-out``: layers are chosen and scored on different stimuli (`murine.scoring.held_out`); ``naive``: on the
        same stimuli, as in Conwell et al. (2021).

    Raises
    ------
    MurineError
        If a number is out of range.

    Examples
    --------
    >>> ScoreSettings(n_bootstraps=200).n_permutations
    1000
    >>> ScoreSettings(n_bootstraps=100, over="neurons").subject_draws
    100
    """

    n_bootstraps: int = 1000
    n_permutations: int = 1000
    seed: int = 0
    over: Literal["", "neurons", "animals", "both"] = ""
    n_subject_draws: int = 200
    layer_choice: Literal["held-out", "naive"] = "held-out"

    def __post_init__(self) -> None:
        BOOTSTRAPS.check("n_bootstraps", self.n_bootstraps)
        PERMUTATIONS.check("n_permutations", self.n_permutations)
        SEED.check("seed", self.seed)
        COUNT.check("n_subject_draws", self.n_subject_draws)

    @property
    def subject_draws(self) -> int:
        """Number of samples of neurons or animals; 0 where none are resampled."""
        return min(self.n_subject_draws, self.n_bootstraps) if self.over else 0
