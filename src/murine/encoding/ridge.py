"""Ridge regression from the features of a layer to neurons, by the layer's n x n kernel alone.

Ridge from any number of units needs only their products between stimuli; with one eigendecomposition of these
(`murine.encoding.ridge_spectrum`) every neuron, every penalty and every stimulus left out is a matrix product away.

Responses are (n_neuroids, n_stimuli), as `murine.cortex.recording.Recording` has them. A neuron with NaN has NaN
predictions; kernels with NaN are refused, or in stacks give NaN. Scores of predictions are in
`murine.encoding.prediction_scores`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy.typing import ArrayLike

from murine.encoding.ridge_spectrum import PROJECTED, Scale, Spectrum, centred, varies
from murine.errors import MurineError
from murine.networks.layer_kernel import LayerKernel
from murine.statistics.bootstrap import MIN_STIMULI

Kernel = Float[np.ndarray, "n_stimuli n_stimuli"]
Kernels = Float[np.ndarray, "n_layers n_stimuli n_stimuli"]
Responses = Float[np.ndarray, "n_neuroids n_stimuli"]

#: Training and test stimuli of one fold.
Split = tuple[Int[np.ndarray, " n_train"], Int[np.ndarray, " n_test"]]


def centred_grams(layers: Sequence[LayerKernel]) -> Kernels:
    """Stack the Gram matrices of layers' features, centred over stimuli: the kernels that this module takes.

    Means over units are put back after centring, so large ones cost no digits. A layer with features that are not
    finite, or the same for all stimuli, has NaN."""
    if not layers:
        raise MurineError("No layers were given; expected at least one.")
    grams = np.full((len(layers), layers[0].n_stimuli, layers[0].n_stimuli), np.nan)
    for gram, layer in zip(grams, layers, strict=True):
        shifts = layer.means - layer.means.mean()
        found = centred(layer.covariance) + layer.n_units * np.outer(shifts, shifts)
        # What float32 sums leave of features that do not differ is not more than this.
        if np.isfinite(found).all() and np.trace(found) > 1e-11 * np.trace(layer.gram):
            gram[:] = found
    return grams


def ridge_loo(
    kernel: Kernel,
    responses: Responses,
    alpha: float = 1.0,
    *,
    scale: Scale = "projection",
    n_features: int = PROJECTED,
    relative: bool = False,
) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Predict the response to each stimulus by ridge on all others, for all neurons at once, in closed form.

    With H the matrix from responses to fitted responses (with an intercept that is not penalised), the prediction
    without stimulus i is y_i - (y_i - (Hy)_i) / (1 - H_ii): the same as refitting n times on features that were scaled
    once, on all stimuli, as Conwell et al. (2021) do.

    Parameters
    ----------
    kernel
        Gram matrix of the features, centred over stimuli or not.
    responses
        (n_neuroids, n_stimuli), in any unit. Neurons with NaN get NaN.
    alpha
        Penalty on squared weights, in units that `scale` sets; above 0.
    scale, n_features
        How features are scaled, and how many they count as then (unused with ``none``):
        `murine.encoding.ridge_spectrum.Scale`.
    relative
        True: return predictions less the mean of the responses each was fitted to. That mean is high where the
        response left out is low, and so makes correlations of a layer that says nothing negative. Without it the
        covariance of predictions and responses is exactly 0 in the mean over all orders of the stimuli.

    Returns
    -------
    (n_neuroids, n_stimuli) float64

    Raises
    ------
    MurineError
        With fewer than 4 stimuli, a kernel that is not finite or of features that are the same for all stimuli, or a
        penalty that is not above 0.
    """
    responses = check_sizes(kernel, responses)
    operator = _loo_operator(Spectrum.of_kernel(kernel, scale, n_features), _penalty(alpha), relative)
    means = responses.mean(axis=1, keepdims=True)
    predictions = (responses - means) @ operator.T
    return predictions if relative else predictions + means


def loo_operators(
    kernels: Kernels,
    alpha: float = 1.0,
    *,
    scale: Scale = "projection",
    n_features: int = PROJECTED,
    relative: bool = False,
) -> Kernels:
    """For every layer the matrix from responses (any neuron's, less their mean) to `ridge_loo` predictions (less it).

    Its diagonal is zero: no response takes part in its own prediction. A layer with NaN in its kernel, or with features
    that are the same for all stimuli, has NaN."""
    operators = np.full(kernels.shape, np.nan)
    for kernel, operator in zip(kernels, operators, strict=True):
        if varies(kernel):
            operator[:] = _loo_operator(Spectrum.of_kernel(kernel, scale, n_features), _penalty(alpha), relative)
    return operators


def ridge_correlations(
    kernels: Kernels,
    responses: Responses,
    alpha: float = 1.0,
    *,
    scale: Scale = "projection",
    n_features: int = PROJECTED,
    relative: bool = False,
) -> Float[np.ndarray, "n_layers n_neuroids"]:
    """Correlate `ridge_loo` predictions with responses, for every layer and neuron: Pearson's r.

    Returns
    -------
    (n_layers, n_neuroids) float64
        NaN for layers with NaN in their kernel or with features that are the same for all stimuli, and for neurons
        with NaN or with one response to all stimuli. See `correlate` for its precision.
    """
    responses = check_sizes(kernels[0], responses)
    return correlate(loo_operators(kernels, alpha, scale=scale, n_features=n_features, relative=relative), responses)


def correlate(
    operators: Float[np.ndarray, "n_operators n_stimuli n_stimuli"], responses: Responses
) -> Float[np.ndarray, "n_operators n_neuroids"]:
    """Correlate the predictions of operators (`loo_operators`, `murine.encoding.pls.pls_operators`) with responses.

    Responses are standardised once for all; products are taken in float32, which leaves r within 1e-5."""
    operators = operators - operators.mean(axis=1, keepdims=True)  # predictions with mean 0 over stimuli
    standardised = unit_length(responses).astype(np.float32)
    products: Float32[np.ndarray, "n_neuroids n_stimuli"] = np.empty_like(standardised)
    scores = np.empty((len(operators), len(responses)))
    for operator, score in zip(operators.astype(np.float32), scores, strict=True):
        np.matmul(standardised, operator.T, out=products)
        power = np.einsum("ij,ij->i", products, products)
        with np.errstate(invalid="ignore", divide="ignore"):
            score[:] = np.einsum("ij,ij->i", products, standardised) / np.sqrt(power)
    return np.clip(scores, -1, 1, out=scores)


def relabelled_correlations(
    operators: Float[np.ndarray, "n_operators n_stimuli n_stimuli"],
    responses: Responses,
    relabellings: Int[np.ndarray, "n_draws n_stimuli"],
    groups: Sequence[Int[np.ndarray, " _"]],
) -> Float32[np.ndarray, "n_draws n_operators n_groups"]:
    """`correlate` with the stimuli of the responses relabelled, mean over the neurons of each group.

    Stimulus i gets the responses to stimulus ``relabellings[b, i]``. Responses stay where they are, and are
    standardised once; operators are relabelled instead."""
    operators = (operators - operators.mean(axis=1, keepdims=True)).astype(np.float32)
    standardised = unit_length(responses).astype(np.float32)
    n_neuroids, n_stimuli = standardised.shape
    places = relabellings.argsort(axis=1)
    draws = np.empty((len(places), len(operators), len(groups)), np.float32)
    step = 8  # predictions of so many at once: large enough for BLAS, small enough for a cache
    for operator, found in zip(operators, draws.transpose(1, 0, 2), strict=True):
        for start in range(0, len(places), step):
            order = places[start : start + step]
            moved = operator[order[:, :, None], order[:, None]].reshape(-1, n_stimuli)
            predictions = (standardised @ moved.T).reshape(n_neuroids, len(order), n_stimuli)
            products = np.einsum("jbi,ji->bj", predictions, standardised)
            power = np.einsum("jbi,jbi->bj", predictions, predictions)
            with np.errstate(invalid="ignore", divide="ignore"):
                scores = np.clip(products / np.sqrt(power), -1, 1)
            found[start : start + step] = np.stack([scores[:, members].mean(axis=1) for members in groups], axis=1)
    return draws


def ridge_cv(
    kernel: Kernel,
    responses: Responses,
    folds: Any,
    alphas: ArrayLike = 1.0,
    *,
    scale: Scale = "projection",
    n_features: int = PROJECTED,
    relative: bool = False,
) -> tuple[Float[np.ndarray, "n_neuroids n_stimuli"], Float[np.ndarray, "n_folds n_neuroids"]]:
    """Predict held-out stimuli by ridge, the penalty of every neuron chosen within the training stimuli.

    In each fold features are centred and scaled by the training stimuli, and of several penalties each neuron gets the
    one with the least squared leave-one-out error among them (`ridge_loo`). No held-out response takes part, so scores
    of the predictions are not optimistic; the least leave-one-out error, being a minimum, would be.

    Parameters
    ----------
    folds
        Test stimuli of every fold (`murine.statistics.folds.folds`), pairs of training and test stimuli, or a
        scikit-learn splitter (see `splits`).
    alphas
        One penalty or several to choose from, above 0.

    The other parameters, and what is refused, are as in `ridge_loo`.

    Returns
    -------
    predictions
        (n_neuroids, n_stimuli) float64: the mean over the folds that hold a stimulus out; NaN where none does.
    chosen
        (n_folds, n_neuroids) penalties; NaN for neurons with NaN.
    """
    responses = check_sizes(kernel, responses)
    grid = penalties(alphas)
    predictions = HeldOut(responses)
    chosen = []
    for train, test in splits(folds, responses.shape[1]):
        inner = kernel[np.ix_(train, train)]
        spectrum = Spectrum.of_kernel(inner, scale, n_features)
        weights, best = fit_directions(spectrum, predictions.relative(train), grid)
        across = (kernel[np.ix_(test, train)] - inner.mean(axis=0)) @ spectrum.vectors
        predictions.add(train, test, weights @ across.T, relative)
        chosen.append(best)
    return predictions.mean(), np.array(chosen)


class HeldOut:
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


def fit_directions(
    spectrum: Spectrum,
    responses: Float[np.ndarray, "n_neuroids n_train"],
    alphas: Float[np.ndarray, " n_alphas"],
) -> tuple[Float[np.ndarray, "n_neuroids n_directions"], Float[np.ndarray, " n_neuroids"]]:
    """Fit ridge in the principal directions, with the best of some penalties by leave-one-out error for each neuron.

    Parameters
    ----------
    responses
        Less their mean over training stimuli. Neurons with NaN get NaN.
    alphas
        Of equally good ones the first is taken.

    Returns
    -------
    weights
        On the products of other stimuli's features with the training features and `spectrum.vectors`.
    chosen
        The penalty of each neuron.
    """
    along = responses @ spectrum.vectors
    if len(alphas) == 1:
        return along * spectrum.weights(alphas[0]), np.where(np.isnan(along[:, :1]).any(axis=1), np.nan, alphas[0])
    errors = np.stack([(loo_residuals(spectrum, responses, along, alpha) ** 2).sum(axis=1) for alpha in alphas])
    best = errors.argmin(axis=0)
    weights = along * np.stack([spectrum.weights(alpha) for alpha in alphas])[best]
    return weights, np.where(np.isnan(errors).any(axis=0), np.nan, alphas[best])


def loo_residuals(
    spectrum: Spectrum,
    responses: Float[np.ndarray, "n_neuroids n_train"],
    along: Float[np.ndarray, "n_neuroids n_directions"],
    alpha: float,
) -> Float[np.ndarray, "n_neuroids n_train"]:
    """Responses less their leave-one-out predictions, from responses less their mean and their products with U."""
    shares = spectrum.residual_shares(alpha)
    vectors = spectrum.vectors
    residuals = (along * shares) @ vectors.T
    left = vectors**2 @ shares
    n_train, n_directions = vectors.shape
    if n_directions < n_train - 1:  # fewer units than stimuli: what the directions do not span is not fitted either
        residuals += responses - along @ vectors.T
        left += 1 - 1 / n_train - (vectors**2).sum(axis=1)
    return residuals / left


def _loo_operator(spectrum: Spectrum, alpha: float, relative: bool) -> Kernel:
    """The matrix from responses less their mean to leave-one-out predictions less that mean."""
    n_stimuli = len(spectrum.vectors)
    residual = (spectrum.vectors * spectrum.residual_shares(alpha)) @ spectrum.vectors.T
    operator = np.eye(n_stimuli) - residual / np.diag(residual)[:, None]
    if relative:  # the mean of the other responses, in terms of these less the mean of all
        operator -= (1 - np.eye(n_stimuli)) / (n_stimuli - 1)
    return operator


def unit_length(responses: Responses) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Mean 0 and sum of squares 1 over stimuli; NaN for neurons with NaN or with one response to all stimuli."""
    responses = responses.astype(np.float64, copy=False)
    relative = responses - responses.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.einsum("ij,ij->i", relative, relative))[:, None]
    tiny = 1e-12 * np.abs(responses).max(axis=1, keepdims=True, initial=0) * np.sqrt(responses.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return relative / np.where(lengths > tiny, lengths, np.nan)


def splits(folds: Any, n_stimuli: int) -> list[Split]:
    """Training and test stimuli of every fold.

    Parameters
    ----------
    folds
        One of: test stimuli of every fold (`murine.statistics.folds.folds`), with all others to train on; pairs of
        training and test stimuli; a scikit-learn splitter, whose ``split`` is called with n_stimuli rows (for one that
        needs labels or groups, give the pairs it yields).

    Raises
    ------
    MurineError
        Where folds are empty, overlap, leave fewer than 4 stimuli to train on, or the splitter refuses.
    """
    found: list[Split] = []
    for item in _folds_of(folds, n_stimuli):
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


def _folds_of(folds: Any, n_stimuli: int) -> Iterable[Any]:
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


def penalties(alphas: ArrayLike) -> Float[np.ndarray, " n_alphas"]:
    """Check penalties."""
    grid = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    if grid.ndim > 1 or len(grid) == 0 or not (np.isfinite(grid).all() and (grid > 0).all()):
        raise MurineError(f"Penalties {alphas!r}; expected one number above 0, or a list of them.")
    return grid


def _penalty(alpha: float) -> float:
    if np.ndim(alpha):
        raise MurineError(f"Penalty {alpha!r}; expected one number (`ridge_cv` takes several).")
    return float(penalties(alpha)[0])


def check_sizes(kernel: np.ndarray, responses: np.ndarray) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Refuse a kernel and responses that do not fit each other; return the responses as float64."""
    n_stimuli = len(kernel)
    if kernel.shape != (n_stimuli, n_stimuli) or responses.ndim != 2 or responses.shape[1] != n_stimuli:
        raise MurineError(
            f"Kernel of shape {kernel.shape} and responses of shape {responses.shape}; expected (n_stimuli, n_stimuli) "
            "and (n_neuroids, n_stimuli)."
        )
    if n_stimuli < MIN_STIMULI:
        raise MurineError(f"{n_stimuli} stimuli are too few to predict responses; at least {MIN_STIMULI} are needed.")
    return responses.astype(np.float64, copy=False)
