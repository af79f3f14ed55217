"""The history of a training: losses and accuracy of every epoch, and which epoch was the best."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from murine.generalization.recipe import Recipe

#: Training has diverged if the loss of an epoch is this many times the loss of guessing, or is not finite.
DIVERGED = 10.0


@dataclass
class Epoch:
    """Results of one epoch: mean losses over training and validation images, and accuracy on validation images."""

    loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass
class History:
    """All epochs of a training, and which one is the best.

    Attributes
    ----------
    epochs
        Results of the epochs, in order.
    best
        Position of the epoch with the highest accuracy on validation images, the earliest of equals; -1 without epochs.
    state
        ``running``, ``finished`` or ``diverged``.

    Examples
    --------
    >>> history, recipe = History(), Recipe(epochs=2)
    >>> history.add(Epoch(loss=2.1, validation_loss=2.0, validation_accuracy=0.3), recipe, n_classes=10)
    True
    >>> history.add(Epoch(loss=1.5, validation_loss=1.9, validation_accuracy=0.4), recipe, n_classes=10)
    True
    >>> history.best, history.state
    (1, 'finished')
    """

    epochs: list[Epoch] = field(default_factory=list)
    best: int = -1
    state: str = "running"

    def add(self, epoch: Epoch, recipe: Recipe, n_classes: int) -> bool:
        """Add an epoch, update `best` and `state`, and return whether it is the best so far."""
        self.epochs.append(epoch)
        n = len(self.epochs)
        losses = epoch.loss, epoch.validation_loss
        too_large = n > 1 and epoch.loss > DIVERGED * math.log(n_classes)
        if too_large or not all(math.isfinite(loss) for loss in losses):
            self.state = "diverged"
            return False
        better = self.best < 0 or epoch.validation_accuracy > self.epochs[self.best].validation_accuracy
        if better:
            self.best = n - 1
        waited = n - 1 - self.best
        if n >= recipe.epochs or (recipe.patience is not None and waited >= recipe.patience):
            self.state = "finished"
        return better

    def plain(self) -> dict[str, Any]:
        """Return plain values for JSON and checkpoints. Losses that are not finite become None."""
        rows = [
            {key: value if math.isfinite(value) else None for key, value in vars(epoch).items()}
            for epoch in self.epochs
        ]
        return {"epochs": rows, "best": self.best, "state": self.state}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> History:
        """Return the history from the values of `plain`."""
        rows = [{key: math.nan if value is None else value for key, value in row.items()} for row in plain["epochs"]]
        return cls([Epoch(**row) for row in rows], plain["best"], plain["state"])
