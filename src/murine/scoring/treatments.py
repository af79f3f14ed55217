"""Treatments: whether neurons and features are standardised over stimuli before they are compared.

Conwell et al. (2021) standardise neither. If only one side is standardised, the two sides weigh their units
differently, and this can reverse the sign of a difference between networks (docs/treatments.md)."""

from __future__ import annotations

from typing import Literal, NamedTuple

from murine.errors import MurineError

Standardisation = Literal["none", "zscore"]


class Treatment(NamedTuple):
    """How neurons and units of a network are treated: ``none``, or ``zscore`` (standardised over stimuli).

    Examples
    --------
    >>> Treatment().words, Treatment("zscore", "none").words
    ('both as they are', 'neurons z-scored')
    >>> Treatment("zscore", "none").is_matched
    False
    """

    neurons: Standardisation = "none"
    features: Standardisation = "none"

    @property
    def is_matched(self) -> bool:
        """Whether both sides are treated alike."""
        return self.neurons == self.features

    @property
    def words(self) -> str:
        """The treatment in a few words, for tables."""
        if self.is_matched:
            return "both z-scored" if self.neurons == "zscore" else "both as they are"
        return "neurons z-scored" if self.neurons == "zscore" else "features z-scored"


RAW, ZSCORED = Treatment(), Treatment("zscore", "zscore")

#: Values of ``--normalise``, and the treatments that each computes.
CHOICES: dict[str, tuple[Treatment, ...]] = {
    "none": (RAW,),
    "zscore": (ZSCORED,),
    "both": (RAW, ZSCORED),
    "all": (RAW, ZSCORED, Treatment("zscore", "none"), Treatment("none", "zscore")),
}


def chosen_treatments(
    normalise: str = "none", neurons: str | None = None, features: str | None = None
) -> tuple[Treatment, ...]:
    """Return the requested treatments.

    Parameters
    ----------
    normalise
        A key of `CHOICES`: ``none`` or ``zscore``, the same on both sides; ``both``: these two; ``all``: all four.
    neurons, features
        Override one side of ``none`` or ``zscore``.

    Raises
    ------
    MurineError
        An unknown treatment; one side overridden where several treatments are asked for.
    """
    for name, given, known in (
        ("normalise", normalise, tuple(CHOICES)),
        ("normalise-neurons", neurons, ("none", "zscore")),
        ("normalise-features", features, ("none", "zscore")),
    ):
        if given is not None and given not in known:
            raise MurineError(f"--{name} is {given!r}; expected {', '.join(known[:-1])} or {known[-1]}.")
    found = CHOICES[normalise]
    if neurons is None and features is None:
        return found
    if len(found) > 1:
        raise MurineError(
            f"--normalise {normalise} computes {len(found)} treatments, of which --normalise-neurons and "
            "--normalise-features cannot change one side. Use them with --normalise none or zscore."
        )
    (only,) = found
    sides = (neurons or only.neurons, features or only.features)
    return (next(treatment for treatment in CHOICES["all"] if treatment == sides),)
