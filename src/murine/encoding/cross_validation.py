"""CV."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from murine.encoding.kernels import Responses
from murine.errors import MurineError
from murine.statistics.bootstrap import MIN_STIMULI

#: Training and test stimuli of one fold.
Split = tuple[Int[np.ndarray, " n_train"], Int[np.ndarray, " n_test"]]


class HeldOutPredictions:
    """Collects predictions of held-out responses over folds.

    Parameters
    ----------
    responses
        (n_neuroids, n_stimuli); one NaN makes the whole neuron NaN, whichever fold it is in.
    """

    def __init__(self, responses: Responses) -> None:
        self._responses = np.where(np.isfinite(responses).all(axis=1, keepdims=True), responses, np.nan)
        self._sums = np.zeros(responses.shape)
        self._times = np.zeros(responses.shape[1])

    def relative(self, train: Int[np.ndarray, " n_train"]) -> Float[np.ndarray, "n_neuroids n_train"]:
        """Responses to the training stimuli less their mean."""
        chosen = self._responses[:, train]
        return chosen - chosen.mean(axis=1, keepdims=True)

    def add(
        self,
        train: Int[np.ndarray, " n_train"],
        test: Int[np.ndarray, " n_test"],
        predictions: Float[np.ndarray, "n_neuroids n_test"],
        relative: bool = False,
    ) -> None:
        """Add predictions that are relative to the mean training responses; add those, unless all is to be relative."""
        if not relative:
            predictions = predictions + self._responses[:, train].mean(axis=1, keepdims=True)
        self._sums[:, test] += predictions
        self._times[test] += 1

    def mean(self) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
        """The mean over folds; NaN for stimuli that none held out."""
        return self._sums / np.where(self._times > 0, self._times, np.nan)


def split_stimuli(folds: Any, n_stimuli: int) -> list[Split]:
    """Training and test stimuli of every fold.

    Parameters
    ----------
    folds
        One of: test stimuli of every fold (`murine.statistics.folds.kfold`), with all others to train on; pairs of
        training and test stimuli; a scikit-learn splitter, whose ``split`` is called with n_stimuli rows (for one that
        needs labels or groups, give the pairs it yields).

    Raises
    ------
    MurineError
        Where folds are empty, overlap, leave fewer than 4 stimuli to train on, or the splitter refuses.
    """
    found: list[Split] = []
    for item in _iterate_folds(folds, n_stimuli):
        if isinstance(item, tuple):
            train, test = (np.asarray(part) for part in item)
        else:
            test = np.asarray(item)
            train = np.setdiff1d(np.arange(n_stimuli), test)
        positions = np.concatenate([train, test])
        if len(test) == 0 or not np.issubdtype(positions.dtype, np.integer):
            raise MurineError(f"Fold {len(found)} holds out {test!r}; expected positions of at least one stimulus.")
        if positions.min() < 0 or positions.max() >= n_stimuli or np.intersect1d(train, test).size:
            raise MurineError(
                f"Fold {len(found)} does not fit {n_stimuli} stimuli: expected positions from 0 to {n_stimuli - 1}, "
                "none of them both to train on and to test."
            )
        if len(train) < MIN_STIMULI:
            raise MurineError(
                f"Fold {len(found)} leaves {len(train)} stimuli to train on; at least {MIN_STIMULI} are needed."
            )
        found.append((train, test))
    if not found:
        raise MurineError("No folds were given; expected at least one.")
    return found


def _iterate_folds(folds: Any, n_stimuli: int) -> Iterable[Any]:
    if not hasattr(folds, "split"):
        if not isinstance(folds, Iterable):
            raise MurineError(f"Folds given as {folds!r}; expected arrays of test stimuli or a scikit-learn splitter.")
        return folds
    try:
        return list(folds.split(np.zeros((n_stimuli, 1))))
    except (TypeError, ValueError) as error:
        raise MurineError(
            f"{folds!r} cannot split {n_stimuli} stimuli: {error} Where it needs labels or groups, give the pairs "
            "that its split() yields."
        ) from error
