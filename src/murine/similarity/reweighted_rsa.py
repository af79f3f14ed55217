"""Reweighted representational similarity: the non-negative mixture of all layers' RDMs that is most like a site's.

Conwell et al. 2021, NeurIPS 34: the weights are found on pairs of training images and judged on pairs
with a held-out image. All sums over pairs that any fold or site needs are made of the products of layers and sites
within blocks of pairs, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int

from murine.errors import MurineError, some
from murine.similarity.nonnegative_least_squares import fit_nonnegative
from murine.similarity.rdm import n_stimuli_of
from murine.similarity.rsa import LayerVectors, SiteVectors
from murine.statistics.bootstrap import MIN_STIMULI, Counts, pair_weights
from murine.statistics.ceilings import ROUNDING

SiteScores = Float[np.ndarray, " n_sites"]


@dataclass(frozen=True, eq=False)
class Reweighting:
    """What was fitted, and how well it predicts pairs with held-out stimuli.

    Attributes
    ----------
    scores
        (n_sites,): Pearson's r of predicted and actual dissimilarities; NaN for a site that is constant or not finite,
        or whose weights are all zero (what is left to predict with is the mean of the training pairs, which is low
        where the held-out ones are high).
    predictions
        (n_sites, n_pairs): mean of the predictions of a pair, which are two if its stimuli are in different folds.
    weights
        (n_folds, n_sites, n_layers): of the dissimilarities as given; not below 0.
    intercepts
        (n_folds, n_sites).
    violations
        (n_folds, n_sites): how far the weights are from optimal (`murine.similarity.nonnegative_least_squares`), 0 to
        1.
    flags
        Why a layer has no weight, '' for others: ``not finite`` or ``constant``.
    """

    scores: SiteScores
    predictions: SiteVectors
    weights: Float[np.ndarray, "n_folds n_sites n_layers"]
    intercepts: Float[np.ndarray, "n_folds n_sites"]
    violations: Float[np.ndarray, "n_folds n_sites"]
    flags: tuple[str, ...]

    def resample(self, sites: SiteVectors, counts: Counts) -> Float32[np.ndarray, "n_draws n_sites"]:
        """The scores under resampled stimuli; the predictions stay as they are.

        ``counts[b, i]`` is how often stimulus i was drawn in sample b. Pairs of a stimulus with its own copy are left
        out. Weights are not fitted anew: copies of a held-out stimulus would be among the training ones."""
        n_pairs = sites.shape[1]
        a, b = (
            np.float32(np.sqrt(n_pairs)) * _standardised(v)[0].astype(np.float32) for v in (self.predictions, sites)
        )
        weights = pair_weights(counts)
        weights /= weights.sum(axis=1, keepdims=True)
        mean_a, mean_b, square_a, square_b, product = (weights @ v.T for v in (a, b, a**2, b**2, a * b))
        with np.errstate(invalid="ignore"):
            variances = [square - mean**2 for square, mean in ((square_a, mean_a), (square_b, mean_b))]
            varied = (variances[0] > ROUNDING * square_a) & (variances[1] > ROUNDING * square_b)
            r = (product - mean_a * mean_b) / np.sqrt(np.where(varied, variances[0] * variances[1], np.nan))
        return np.where(np.isnan(self.scores), np.float32("nan"), r)


def reweight(layers: LayerVectors, sites: SiteVectors, folds: Sequence[Int[np.ndarray, " _"]]) -> Reweighting:
    """Fit all layers to each site, and predict the pairs that have a held-out stimulus.

    Parameters
    ----------
    layers, sites
        RDM vectors, all of one measure of dissimilarity: a similarity among them turns signs round.
    folds
        Positions of the stimuli that are held out together, each stimulus in one fold: what scikit-learn's
        ``KFold(6, shuffle=True, random_state=seed)`` gives as test parts.

    Raises
    ------
    MurineError
        If a stimulus is in no fold or in two, or fewer than four are left to train on.
    """
    n_pairs = sites.shape[1]
    part = _parts(folds, n_stimuli_of(n_pairs))
    order, blocks = _blocks(part, len(folds))
    a, mean_a, scale_a = _standardised(layers)
    usable = np.flatnonzero(np.isfinite(scale_a))
    flags = tuple(
        "" if np.isfinite(scale) else "constant" if np.isfinite(mean) else "not finite"
        for scale, mean in zip(scale_a, mean_a, strict=True)
    )
    a, mean_a, scale_a = (x if len(usable) == len(layers) else x[usable] for x in (a, mean_a, scale_a))
    b, mean_b, scale_b = _standardised(sites)
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
    predicted = _standardised(np.where(idle[:, None], 0, predictions))[0]
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


def _standardised(
    vectors: Float[np.ndarray, "n_vectors n_pairs"],
) -> tuple[Float[np.ndarray, "n_vectors n_pairs"], Float[np.ndarray, " n_vectors"], Float[np.ndarray, " n_vectors"]]:
    """Vectors of mean 0 and length 1, their means and what lengths they had; NaN for constant and not finite ones."""
    with np.errstate(invalid="ignore"):
        means = vectors.mean(axis=1)
        centred = vectors - means[:, None]
    length = np.sqrt(np.einsum("ij,ij->i", centred, centred))
    tiny = 1e-12 * np.abs(vectors).max(axis=1, initial=0) * np.sqrt(vectors.shape[1])
    length = np.where((length > tiny) & (length < np.inf), length, np.nan)
    centred /= length[:, None]
    return centred, means, length


def _parts(folds: Sequence[np.ndarray], n_stimuli: int) -> Int[np.ndarray, " n_stimuli"]:
    """The fold of each stimulus."""
    if n_stimuli < MIN_STIMULI or not folds:
        raise MurineError(f"{n_stimuli} stimuli in {len(folds)} folds: at least {MIN_STIMULI} and 2 are needed.")
    positions = np.concatenate([np.asarray(fold).ravel() for fold in folds])
    times = np.bincount(positions[(positions >= 0) & (positions < n_stimuli)], minlength=n_stimuli)
    if len(positions) != n_stimuli or (times != 1).any():
        raise MurineError(
            f"folds must hold out each of the {n_stimuli} stimuli once, so that each pair is predicted; they hold out "
            f"{len(positions)}, and not once: {some(np.flatnonzero(times != 1)) or 'positions out of range'}."
        )
    fewest = n_stimuli - max(len(fold) for fold in folds)
    if fewest < MIN_STIMULI or min(len(fold) for fold in folds) == 0:
        raise MurineError(
            f"{len(folds)} folds of {n_stimuli} stimuli leave {fewest} stimuli to train on, or hold out none; at least "
            f"{MIN_STIMULI} and 1 are needed."
        )
    part = np.empty(n_stimuli, np.intp)
    for f, fold in enumerate(folds):
        part[fold] = f
    return part


def _blocks(
    part: Int[np.ndarray, " n_stimuli"], n_folds: int
) -> tuple[Int[np.ndarray, " n_pairs"], dict[tuple[int, int], slice]]:
    """An order of the pairs in which those between the same two folds are together, and where they are."""
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
    """What least squares with an intercept need of the training pairs of each fold.

    ``ordered`` has the layers, the sites and a row of ones. Returns centred products of layers (n_folds, n_layers,
    n_layers), of sites and layers (n_folds, n_sites, n_layers), of sites with themselves (n_folds, n_sites), and means
    of both (n_folds, n_layers + n_sites)."""
    layers, others = ordered[:n_layers], ordered[n_layers:]
    gram = np.zeros((n_folds + 1, n_layers, n_layers))  # held out by each fold; at the end in all
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
    # A layer or site that varies, but not among the training pairs, has no power but rounding.
    flat = np.diagonal(gram, axis1=1, axis2=2) <= 1e-12
    gram[flat] = 0
    gram.transpose(0, 2, 1)[flat] = 0
    cross.transpose(0, 2, 1)[flat] = 0
    quiet = power <= 1e-12
    cross[quiet] = 0
    return gram, cross, np.where(quiet, 0, power), np.concatenate([mean_a, mean_b], axis=1)
