"""Ridge and PLS as scikit-learn estimators: from features to responses, with stimuli as rows.

They compute what `murine.encoding.ridge` and `murine.encoding.pls` compute from kernels, for pipelines and
`cross_val_predict`. PLS can also standardise single units. They work on units or on stimuli, whichever are fewer.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from murine.encoding.pls import pls_scores
from murine.encoding.ridge import check_penalties, fit_ridge_directions
from murine.encoding.ridge_spectrum import N_PROJECTED, Scale, Spectrum
from murine.errors import MurineError


class _Regressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Checks, centring and prediction, which both estimators share."""

    def _start(self, X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return centred float64 features and responses, (n_stimuli, n_units) and (n_stimuli, n_targets)."""
        features, targets = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=2
        )
        targets = np.asarray(targets, dtype=np.float64)
        self._flat = targets.ndim == 1
        targets = targets.reshape(len(targets), -1)
        self.feature_means_ = features.mean(axis=0)
        self.intercept_ = targets.mean(axis=0)
        relative = features - self.feature_means_
        if (np.abs(relative) <= 1e-12 * np.abs(self.feature_means_)).all():
            raise MurineError("The features are the same for all stimuli; there is nothing to predict responses from.")
        return relative, targets - self.intercept_

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict responses (n_stimuli, n_targets) from features (n_stimuli, n_units)."""
        check_is_fitted(self)
        features = validate_data(self, X, dtype=np.float64, reset=False)
        predictions: np.ndarray = (features - self.feature_means_) @ self._axes @ self._weights + self.intercept_
        return predictions[:, 0] if self._flat else predictions


class RidgeRegressor(_Regressor):
    """Ridge regression with an intercept; the penalty of each target is selected by its leave-one-out error.

    One decomposition of an n_units x n_units or n_stimuli x n_stimuli matrix, whichever is smaller, serves all targets
    and penalties.

    Parameters
    ----------
    alpha
        One penalty, or several to select from, above 0.
    scale, n_features
        How features are scaled (`murine.encoding.ridge_spectrum.Scale`), by the stimuli of `fit`.

    Attributes
    ----------
    alpha_
        The penalty of each target.
    intercept_, feature_means_
        Means of responses and features over the stimuli of `fit`.

    Raises
    ------
    MurineError
        In `fit`: if the features are the same for all stimuli, or a penalty is not above 0. scikit-learn refuses NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(30, 5)), rng.normal(size=30)
    >>> bool(np.allclose(RidgeRegressor(2.0).fit(X, y).predict(X), Ridge(2.0).fit(X, y).predict(X)))
    True
    """

    def __init__(self, alpha: ArrayLike = 1.0, *, scale: Scale = "none", n_features: int = N_PROJECTED) -> None:
        self.alpha = alpha
        self.scale = scale
        self.n_features = n_features

    def fit(self, X: ArrayLike, y: ArrayLike) -> RidgeRegressor:
        """Fit to features (n_stimuli, n_units) and responses (n_stimuli,) or (n_stimuli, n_targets)."""
        features, targets = self._start(X, y)
        grid = check_penalties(self.alpha)
        spectrum, self._axes, basis = _directions(features, self.scale, self.n_features)
        weights, alpha = fit_ridge_directions(spectrum, np.ascontiguousarray(targets.T), grid)
        self._weights = basis @ weights.T
        self.alpha_ = alpha[0] if self._flat else alpha
        return self


class PLSRegressor(_Regressor):
    """Partial least squares regression: scikit-learn's `PLSRegression` run to convergence.

    Parameters
    ----------
    n_components
        At most the number of directions along which the features vary.
    scale
        Divide each unit and each target by its SD over the stimuli of `fit`.

    Attributes
    ----------
    intercept_, feature_means_
        Means of responses and features over the stimuli of `fit`.

    Raises
    ------
    MurineError
        In `fit`: if the features are the same for all stimuli, or vary along fewer directions than ``n_components``.
        scikit-learn refuses NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.cross_decomposition import PLSRegression
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(30, 5)), rng.normal(size=(30, 2))
    >>> theirs = PLSRegression(2, tol=1e-12, max_iter=5000).fit(X, y).predict(X)
    >>> bool(np.allclose(PLSRegressor(2).fit(X, y).predict(X), theirs, atol=1e-6))
    True
    """

    def __init__(self, n_components: int = 10, *, scale: bool = True) -> None:
        self.n_components = n_components
        self.scale = scale

    def fit(self, X: ArrayLike, y: ArrayLike) -> PLSRegressor:
        """Fit to features (n_stimuli, n_units) and responses (n_stimuli,) or (n_stimuli, n_targets)."""
        features, targets = self._start(X, y)
        if self.n_components < 1:
            raise MurineError(f"{self.n_components} components; expected at least 1.")
        unit_scales, target_scales = np.ones(features.shape[1]), np.ones(targets.shape[1])
        if self.scale:
            unit_scales, target_scales = _deviations(features), _deviations(targets)
            features, targets = features / unit_scales, targets / target_scales
        spectrum, axes, basis = _directions(features, "none")
        varied = spectrum.values > 0
        if self.n_components > varied.sum():
            raise MurineError(
                f"{self.n_components} components were asked for, but features vary along {varied.sum()} directions; "
                "use at most as many components."
            )
        vectors, lengths = spectrum.vectors[:, varied], np.sqrt(spectrum.values[varied])
        # The scores of unit vectors along each direction are the rotation from coordinates to scores.
        scores, rotation = pls_scores(vectors * lengths, np.eye(len(lengths)), targets.T, self.n_components)
        self._axes = axes / unit_scales[:, None]
        self._weights = (basis[:, varied] / lengths) @ rotation.T @ (scores @ targets) * target_scales
        return self


def _deviations(values: np.ndarray) -> np.ndarray:
    """Return the SD of columns that are already centred; 1 for constant columns."""
    deviations: np.ndarray = values.std(axis=0, ddof=1)
    return np.where(deviations > 0, deviations, 1.0)


def _directions(
    features: np.ndarray, scale: Scale, n_features: int = N_PROJECTED
) -> tuple[Spectrum, Float[np.ndarray, "n_units n_basis"], Float[np.ndarray, "n_basis n_directions"]]:
    """Decompose centred features by units or by stimuli, whichever are fewer.

    Returns
    -------
    spectrum, axes, basis
        ``features @ axes @ basis`` are the products of features with the features along each direction: U diag(values).
    """
    n_stimuli, n_units = features.shape
    if n_units >= n_stimuli:
        spectrum = Spectrum.of_kernel(features @ features.T, scale, n_features)
        return spectrum, features.T, spectrum.vectors
    spectrum, axes = Spectrum.of_features(features, scale, n_features)
    return spectrum, axes.T, np.diag(np.sqrt(spectrum.values))
