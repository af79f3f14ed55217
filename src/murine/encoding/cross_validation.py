"""Cross-validation over stimuli: training and test stimuli of each fold, and held-out predictions."""

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
        (n_neuroids, n_stimuli). A neuron with one NaN becomes NaN for all stimuli, whichever fold the NaN is in.
    """

    def __init__(self, responses: Responses) -> None:
        self._responses = np.where(np.isfinite(responses).all(axis=1, keepdims=True), responses, np.nan)
        self._sums = np.zeros(responses.shape)
        self._times = np.zeros(responses.shape[1])

    def relative(self, train: Int[np.ndarray, " n_train"]) -> Float[np.ndarray, "n_neuroids n_train"]:
        """Return the responses to the training stimuli less their mean."""
        chosen = self._responses[:, train]
        return chosen - chosen.mean(axis=1, keepdims=True)

    def add(
        self,
        train: Int[np.ndarray, " n_train"],
        test: Int[np.ndarray, " n_test"],
        predictions: Float[np.ndarray, "n_neuroids n_test"],
        relative: bool = False,
    ) -> None:
        """Add the predictions of one fold.

        Parameters
        ----------
        train, test
            Positions of the training and the test stimuli.
        predictions
            (n_neuroids, n_test): predictions less the mean of the training responses.
        relative
            True keeps them so; False adds that mean.
        """
        if not relative:
            predictions = predictions + self._responses[:, train].mean(axis=1, keepdims=True)
        self._sums[:, test] += predictions
        self._times[test] += 1

    def mean(self) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
        """Return the mean prediction over folds; NaN for stimuli that no fold holds out."""
        return self._sums / np.where(self._times > 0, self._times, np.nan)


def split_stimuli(folds: Any, n_stimuli: int) -> list[Split]:
    """Return the training and test stimuli of every fold.

    Parameters
    ----------
    folds
        One of three: arrays of the test stimuli of each fold (`murine.statistics.folds.kfold`), where all other stimuli
        are used for training; pairs of training and test stimuli; or a scikit-learn splitter. Of a splitter that needs
        labels or groups, give the pairs that its ``split`` yields.
    n_stimuli
        Number of stimuli.

    Returns
    -------
    splits
        Pairs (train, test) of positions.

    Raises
    ------
    MurineError
        If there are no folds, a fold is empty, training and test stimuli overlap, fewer than 4 training stimuli are
        left, or the splitter fails.

    Examples
    --------
    >>> from sklearn.model_selection import KFold
    >>> train, test = split_stimuli(KFold(2), n_stimuli=8)[0]
    >>> train, test
    (array([4, 5, 6, 7]), array([0, 1, 2, 3]))
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
                "none of them in both training and test."
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
