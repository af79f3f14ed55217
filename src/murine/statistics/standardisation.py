"""Standardisation of the rows of a matrix."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Rows = Float[np.ndarray, "n_rows n_columns"]


def zscore(responses: Float[np.ndarray, "n_neuroids n_stimuli"]) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Standardise each neuron over stimuli: mean 0 and population standard deviation 1.

    Parameters
    ----------
    responses
        (n_neuroids, n_stimuli), any unit.

    Returns
    -------
    standardised
        The same shape, without a unit. A neuron that is constant but for rounding becomes 0; one with NaN becomes NaN.

    Examples
    --------
    >>> import numpy as np
    >>> zscore(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])).round(2)
    array([[-1.22,  0.  ,  1.22],
           [ 0.  ,  0.  ,  0.  ]])
    """
    centred = responses - responses.mean(axis=1, keepdims=True)
    scale = centred.std(axis=1, keepdims=True)
    tiny = 1e-12 * np.abs(responses).max(axis=1, keepdims=True, initial=0)
    return np.divide(centred, scale, out=np.zeros_like(centred), where=scale > tiny)


def unit_length(rows: Rows) -> Rows:
    """Give each row mean 0 and sum of squares 1, in float64. The product of two such rows is their Pearson correlation.

    Parameters
    ----------
    rows
        (n_rows, n_columns), for example neurons x stimuli.

    Returns
    -------
    standardised
        (n_rows, n_columns). A row with NaN or infinite values, or one that is constant but for rounding, becomes NaN.

    Examples
    --------
    >>> import numpy as np
    >>> rows = unit_length(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 7.0]]))
    >>> round(float(rows[0] @ rows[1]), 4)
    0.9934
    """
    return unit_length_and_scale(rows.astype(np.float64, copy=False))[0]


def unit_length_and_scale(
    rows: Rows,
) -> tuple[Rows, Float[np.ndarray, " n_rows"], Float[np.ndarray, " n_rows"]]:
    """Give each row mean 0 and sum of squares 1, and return the means and lengths that were removed.

    As `unit_length`, but in the type of the input.

    Returns
    -------
    standardised, means, lengths
        ``rows`` is ``standardised * lengths[:, None] + means[:, None]``. Lengths are NaN where a row has no direction.
    """
    with np.errstate(invalid="ignore"):
        means = rows.mean(axis=1)
        centred = rows - means[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->i", centred, centred))
    rounding = 1e-12 * np.abs(rows).max(axis=1, initial=0) * np.sqrt(rows.shape[1])
    lengths = np.where((lengths > rounding) & (lengths < np.inf), lengths, np.nan)
    centred /= lengths[:, None]
    return centred, means, lengths
