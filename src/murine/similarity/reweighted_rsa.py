"""Reweighted RSA: the non-negative mixture of the RDMs of all layers that is most similar to the RDM of a site.

The weights are fitted on pairs of training images and tested on pairs with a held-out image, as in Conwell et al. 2021
(NeurIPS 34). All sums over pairs that a fold or site needs are made from the products of layers and sites
within blocks of pairs, which are computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int

from murine.errors import MurineError, some
from murine.similarity.nonnegative_least_squares import fit_nonnegative
from murine.similarity.rdm_vectors import n_stimuli_of_pairs
from murine.similarity.rsa import LayerVectors, SiteVectors
from murine.similarity.weighted_correlation import weighted_correlations
from murine.statistics.bootstrap import MIN_STIMULI, Counts, pair_weights
from murine.statistics.standardisation import unit_length_and_scale

SiteScores = Float[np.ndarray, " n_sites"]


@dataclass(frozen=True, eq=False)
class Reweighting:
    """Fitted weights of layers, and how well they predict pairs with held-out stimuli.

    Attributes
    ----------
    scores
        (n_sites,): Pearson's r of predicted and measured dissimilarities. NaN for a site that is constant or not
        finite, or whose weights are all zero. (Such a site would be predicted by the mean of the training pairs, which
        is low where the held-out dissimilarities are high.)
    predictions
        (n_sites, n_pairs): the mean of the predictions of a pair. A pair whose stimuli are in different folds has two.
    weights
        (n_folds, n_sites, n_layers): weights of the dissimilarities as given; never negative.
    intercepts
        (n_folds, n_sites).
    violations
        (n_folds, n_sites): how far the weights are from optimal, 0 to 1
        (`murine.similarity.nonnegative_least_squares.fit_nonnegative`).
    flags
        Why a layer has no weight: ``not finite`` or ``constant``; otherwise ''.

    Examples
    --------
    See `fit_reweighted_rsa`.

    >>> [field for field in Reweighting.__dataclass_fields__][:3]
    ['scores', 'predictions', 'weights']
    """

    scores: SiteScores
    predictions: SiteVectors
    weights: Float[np.ndarray, "n_folds n_sites n_layers"]
    intercepts: Float[np.ndarray, "n_folds n_sites"]
    violations: Float[np.ndarray, "n_folds n_sites"]
    flags: tuple[str, ...]

    def resample(self, sites: SiteVectors, counts: Counts) -> Float32[np.ndarray, "n_draws n_sites"]:
        """Return the scores under resampled stimuli, with the predictions kept as they are.

        The weights are not fitted again: copies of a held-out stimulus would be among the training stimuli. Pairs of a
        stimulus with its own copy are left out.

        Parameters
        ----------
        sites
            (n_sites, n_pairs): the RDM vectors that were fitted.
        counts
            (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample.

        Returns
        -------
        draws
            (n_draws, n_sites) float32.
        """
        n_pairs = sites.shape[1]
        a, b = (
            np.float32(np.sqrt(n_pairs)) * unit_length_and_scale(v)[0].astype(np.float32)
            for v in (self.predictions, sites)
        )
        weights = pair_weights(counts)
        weights /= weights.sum(axis=1, keepdims=True)
        r = weighted_correlations(a, b, weights)
        return np.where(np.isnan(self.scores), np.float32("nan"), r)


def fit_reweighted_rsa(layers: LayerVectors, sites: SiteVectors, folds: Sequence[Int[np.ndarray, " _"]]) -> Reweighting:
    """Fit a non-negative mixture of layers to each site, and predict the pairs that have a held-out stimulus.

    Parameters
    ----------
    layers, sites
        (n_layers, n_pairs) and (n_sites, n_pairs): RDM vectors, all of one measure of dissimilarity. A similarity among
        them would need a negative weight.
    folds
        Positions of the stimuli that are held out together. Each stimulus is in one fold
        (`murine.statistics.folds.kfold`).

    Returns
    -------
    reweighting
        `Reweighting`.

    Raises
    ------
    MurineError
        If a stimulus is in no fold or in two, or if fewer than four stimuli are left to train on.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.folds import kfold
    >>> layers = np.random.default_rng(0).random((3, 190))  # 20 stimuli
    >>> site = 2 * layers[:1] + layers[1:2] + 0.5
    >>> found = fit_reweighted_rsa(layers, site, kfold(20, 6, seed=0))
    >>> found.weights.mean(axis=0).round(3)
    array([[2., 1., 0.]])
    >>> found.scores.round(3)
    array([1.])
    """
    n_pairs = sites.shape[1]
    part = _fold_of_each(folds, n_stimuli_of_pairs(n_pairs))
    order, blocks = _fold_blocks(part, len(folds))
    a, mean_a, scale_a = unit_length_and_scale(layers)
    usable = np.flatnonzero(np.isfinite(scale_a))
    flags = tuple(
        "" if np.isfinite(scale) else "constant" if np.isfinite(mean) else "not finite"
        for scale, mean in zip(scale_a, mean_a, strict=True)
    )
    a, mean_a, scale_a = (x if len(usable) == len(layers) else x[usable] for x in (a, mean_a, scale_a))
    b, mean_b, scale_b = unit_length_and_scale(sites)
    defined = np.isfinite(b).all(axis=1)
    b[~defined] = 0
    ordered = np.take(np.concatenate([a, b, np.ones((1, n_pairs))]), order, axis=1)
    grams, products, powers, means = _training_moments(ordered, len(a), blocks, len(folds))

    weights, violations = fit_nonnegative(grams, products, powers)
    intercepts = means[:, len(a) :] - (weights @ means[:, : len(a), None])[:, :, 0]

    found = np.empty(b.shape)
    for (f, g), pairs in blocks.items():
        np.matmul((weights[f] + weights[g]) / 2, ordered[: len(a), pairs], out=found[:, pairs])
        found[:, pairs] += (intercepts[f] + intercepts[g])[:, None] / 2
    predictions = np.take(found, order.argsort(), axis=1)
    idle = (weights == 0).all(axis=(0, 2)) | ~defined
    predicted = unit_length_and_scale(np.where(idle[:, None], 0, predictions))[0]
    scores = np.clip((predicted * b).sum(axis=1), -1, 1)

    scale_b, mean_b = (np.where(defined, x, np.nan) for x in (scale_b, mean_b))
    in_units = np.zeros((*weights.shape[:2], len(layers)))
    in_units[:, :, usable] = weights / scale_a * scale_b[:, None]
    return Reweighting(
        scores,
        predictions * scale_b[:, None] + mean_b[:, None],
        in_units,
        intercepts * scale_b + mean_b - in_units[:, :, usable] @ mean_a,
        violations,
        flags,
    )


def _fold_of_each(folds: Sequence[np.ndarray], n_stimuli: int) -> Int[np.ndarray, " n_stimuli"]:
    """Return the fold of each stimulus; refuse folds that do not hold out each stimulus once."""
    if n_stimuli < MIN_STIMULI or not folds:
        raise MurineError(
            f"{n_stimuli} stimuli in {len(folds)} folds; expected at least {MIN_STIMULI} stimuli and 2 folds."
        )
    positions = np.concatenate([np.asarray(fold).ravel() for fold in folds])
    times = np.bincount(positions[(positions >= 0) & (positions < n_stimuli)], minlength=n_stimuli)
    if len(positions) != n_stimuli or (times != 1).any():
        raise MurineError(
            f"folds must hold out each of the {n_stimuli} stimuli once, so that each pair is predicted. They hold out "
            f"{len(positions)}; not once: {some(np.flatnonzero(times != 1)) or 'positions out of range'}."
        )
    fewest = n_stimuli - max(len(fold) for fold in folds)
    if fewest < MIN_STIMULI or min(len(fold) for fold in folds) == 0:
        raise MurineError(
            f"a fold of {n_stimuli} stimuli leaves {fewest} stimuli to train on, or a fold is empty; expected at least "
            f"{MIN_STIMULI} training stimuli and 1 test stimulus in each fold."
        )
    part = np.empty(n_stimuli, np.intp)
    for f, fold in enumerate(folds):
        part[fold] = f
    return part


def _fold_blocks(
    part: Int[np.ndarray, " n_stimuli"], n_folds: int
) -> tuple[Int[np.ndarray, " n_pairs"], dict[tuple[int, int], slice]]:
    """Return an order of the pairs in which those between the same two folds are together, and where each block is."""
    rows, columns = np.triu_indices(len(part), 1)
    one, other = part[rows], part[columns]
    block = np.minimum(one, other) * n_folds + np.maximum(one, other)
    order = block.argsort(kind="stable")
    names, starts = np.unique(block[order], return_index=True)
    stops = np.append(starts[1:], len(order))
    return order, {divmod(int(n), n_folds): slice(s, e) for n, s, e in zip(names, starts, stops, strict=True)}


def _training_moments(
    ordered: Float[np.ndarray, "n_rows n_pairs"], n_layers: int, blocks: dict[tuple[int, int], slice], n_folds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what least squares with an intercept needs from the training pairs of each fold.

    Parameters
    ----------
    ordered
        (n_rows, n_pairs): the layers, the sites and a row of ones.

    Returns
    -------
    grams, products, powers, means
        Centred products of layers (n_folds, n_layers, n_layers), of sites and layers (n_folds, n_sites, n_layers), of
        sites with themselves (n_folds, n_sites), and the means of both (n_folds, n_layers + n_sites).
    """
    layers, others = ordered[:n_layers], ordered[n_layers:]
    gram = np.zeros((n_folds + 1, n_layers, n_layers))  # held out by each fold; the last entry is the total
    cross = np.zeros((n_folds + 1, len(others), n_layers))
    squares = np.zeros((n_folds + 1, len(others)))
    sums = np.zeros((n_folds + 1, len(others)))
    for folds, pairs in blocks.items():
        a, b = layers[:, pairs], others[:, pairs]
        found = a @ a.T, b @ a.T, (b**2).sum(axis=1), b.sum(axis=1)
        for f in {*folds, n_folds}:
            for total, moment in zip((gram, cross, squares, sums), found, strict=True):
                total[f] += moment
    gram, cross, squares, sums = (x[-1] - x[:-1] for x in (gram, cross, squares, sums))
    n = sums[:, -1]
    mean_a, mean_b = cross[:, -1] / n[:, None], sums[:, :-1] / n[:, None]
    gram -= n[:, None, None] * mean_a[:, :, None] * mean_a[:, None]
    cross = cross[:, :-1] - n[:, None, None] * mean_b[:, :, None] * mean_a[:, None]
    power = squares[:, :-1] - n[:, None] * mean_b**2
    # A layer or site that does not vary among the training pairs has no power but what rounding leaves.
    flat = np.diagonal(gram, axis1=1, axis2=2) <= 1e-12
    gram[flat] = 0
    gram.transpose(0, 2, 1)[flat] = 0
    cross.transpose(0, 2, 1)[flat] = 0
    quiet = power <= 1e-12
    cross[quiet] = 0
    return gram, cross, np.where(quiet, 0, power), np.concatenate([mean_a, mean_b], axis=1)
