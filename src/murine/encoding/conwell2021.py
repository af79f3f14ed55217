"""The regression of Conwell et al. (2021) as published: sparse random projection, standardised columns, ridge.

Kept to reproduce published scores. The kernel holds what the projection keeps, without its noise and in a fraction of
the time: `murine.encoding.ridge.ridge_loo`, whose default scale is the limit of many projections."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float

from murine.encoding.prediction_scores import correlations
from murine.encoding.ridge import ridge_loo
from murine.encoding.ridge_spectrum import PROJECTED
from murine.errors import MurineError


def projected(
    features: Float[np.ndarray, "n_stimuli n_units"], seed: int, n_features: int = PROJECTED
) -> Float[np.ndarray, "n_stimuli n_features"]:
    """Project units at random to `n_features` columns, also where units are fewer, and standardise these over stimuli.

    scikit-learn's `SparseRandomProjection` (density 1 / sqrt(n_units)) with ``random_state=seed``, then its `scale`; a
    column without variance becomes 0. Takes seconds for 800,000 units, and 150 MB."""
    from sklearn.exceptions import DataDimensionalityWarning
    from sklearn.preprocessing import scale
    from sklearn.random_projection import SparseRandomProjection

    if not np.isfinite(features).all():
        raise MurineError("Features with NaN or infinite values cannot be projected; leave the layer out.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataDimensionalityWarning)  # of more columns than units, as published
        columns = SparseRandomProjection(n_features, random_state=seed).fit_transform(features)
    standardised: Float[np.ndarray, "n_stimuli n_features"] = scale(columns.astype(np.float64))
    return standardised


def conwell2021_regression(
    features: Float[np.ndarray, "n_stimuli n_units"],
    responses: Float[np.ndarray, "n_neuroids n_stimuli"],
    seed: int = 1,
    *,
    alpha: float = 1.0,
    n_features: int = PROJECTED,
) -> tuple[Float[np.ndarray, "n_neuroids n_stimuli"], Float[np.ndarray, " n_neuroids"]]:
    """Predict left-out responses by ridge from projected features, and correlate (Conwell et al. 2021).

    The same as ``RidgeCV(alphas=[alpha], scoring="explained_variance", store_cv_results=True)`` on `projected`
    features, whose stored results are these predictions, and Pearson's r per neuron. Columns are standardised on all
    stimuli, those left out included, as published.

    Parameters
    ----------
    features
        (n_stimuli, n_units), as a layer gives them.
    seed
        Of the projection. The published script has 1, its library function 0; per-neuron r differs by about 0.03
        between seeds.

    Returns
    -------
    predictions
        (n_neuroids, n_stimuli) float64
    r
        (n_neuroids,): NaN for neurons with NaN or with one response to all stimuli.
    """
    columns = projected(features, seed, n_features)
    predictions = ridge_loo(columns @ columns.T, responses, alpha, scale="none")
    return predictions, correlations(predictions, responses)
