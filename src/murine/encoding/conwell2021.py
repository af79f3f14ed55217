"""The regression of Conwell et al. (2021) as published: sparse random projection, standardised columns, ridge.

It exists to reproduce published scores. `murine.encoding.ridge.ridge_loo` with its default scale is the limit of many
projections: it has no random part and takes a fraction of the time.
"""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float

from murine.encoding.prediction_scores import correlations
from murine.encoding.ridge import ridge_loo
from murine.encoding.ridge_spectrum import N_PROJECTED
from murine.errors import MurineError


def project_features(
    features: Float[np.ndarray, "n_stimuli n_units"], seed: int, n_features: int = N_PROJECTED
) -> Float[np.ndarray, "n_stimuli n_features"]:
    """Project units at random to ``n_features`` columns, and standardise the columns over stimuli.

    This is scikit-learn's `SparseRandomProjection` (density 1 / sqrt(n_units)) with ``random_state=seed``, followed by
    its `scale`. The number of columns is the same where there are fewer units. A column without variance becomes 0. It
    takes seconds and 150 MB for 800,000 units.

    Parameters
    ----------
    features
        (n_stimuli, n_units), any unit.
    seed
        Seed of the projection.
    n_features
        Number of columns.

    Returns
    -------
    columns
        (n_stimuli, n_features) float64.

    Raises
    ------
    MurineError
        If a feature is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(size=(10, 500))
    >>> columns = project_features(features, seed=1, n_features=64)
    >>> columns.shape, bool(np.allclose(columns.std(axis=0), 1))
    ((10, 64), True)
    """
    from sklearn.exceptions import DataDimensionalityWarning
    from sklearn.preprocessing import scale
    from sklearn.random_projection import SparseRandomProjection

    if not np.isfinite(features).all():
        raise MurineError("Features with NaN or infinite values cannot be projected; leave the layer out.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataDimensionalityWarning)  # more columns than units, as published
        columns = SparseRandomProjection(n_features, random_state=seed).fit_transform(features)
    standardised: Float[np.ndarray, "n_stimuli n_features"] = scale(columns.astype(np.float64))
    return standardised


def conwell2021_regression(
    features: Float[np.ndarray, "n_stimuli n_units"],
    responses: Float[np.ndarray, "n_neuroids n_stimuli"],
    seed: int = 1,
    *,
    alpha: float = 1.0,
    n_features: int = N_PROJECTED,
) -> tuple[Float[np.ndarray, "n_neuroids n_stimuli"], Float[np.ndarray, " n_neuroids"]]:
    """Predict left-out responses by ridge from projected features, and correlate them.

    This equals ``RidgeCV(alphas=[alpha], scoring="explained_variance", store_cv_results=True)`` on `project_features`:
    its stored results are these predictions. As published, columns are standardised on all stimuli, including the
    left-out one.

    Parameters
    ----------
    features
        (n_stimuli, n_units), as a layer gives them.
    responses
        (n_neuroids, n_stimuli), any unit.
    seed
        Seed of the projection. The published script uses 1, its library function 0. The r of a neuron differs by about
        0.03 between seeds.
    alpha
        Penalty, above 0.
    n_features
        Number of columns of the projection.

    Returns
    -------
    predictions
        (n_neuroids, n_stimuli) float64.
    r
        (n_neuroids,): Pearson's r; NaN for neurons with NaN or with one response to all stimuli.

    Raises
    ------
    MurineError
        If a feature is NaN or infinite, or as in `murine.encoding.ridge.ridge_loo`.

    References
    ----------
    Conwell et al. 2021, NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(60, 20))
    >>> responses = (features @ rng.normal(size=(20, 2))).T
    >>> predictions, r = conwell2021_regression(features, responses)
    >>> bool((r > 0.9).all())
    True
    """
    columns = project_features(features, seed, n_features)
    predictions = ridge_loo(columns @ columns.T, responses, alpha, scale="none")
    return predictions, correlations(predictions, responses)
