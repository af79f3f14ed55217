"""Non-negative least squares from products alone, by SciPy's Lawson-Hanson solver on a root of the Gram matrix."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

#: Directions with less than this share of the power of the strongest direction are left out: they are rounding.
_COLLINEAR = 1e-12

#: A fit fails after this many steps times the number of variables. It usually takes three times that number.
_STEPS = 100


def fit_nonnegative(
    grams: Float[np.ndarray, "n_folds n_variables n_variables"],
    products: Float[np.ndarray, "n_folds n_targets n_variables"],
    powers: Float[np.ndarray, "n_folds n_targets"],
) -> tuple[Float[np.ndarray, "n_folds n_targets n_variables"], Float[np.ndarray, "n_folds n_targets"]]:
    """Minimise |target - A x|^2 over x >= 0, for several targets and several matrices A.

    Parameters
    ----------
    grams
        (n_folds, n_variables, n_variables): A'A of each fold. A variable without power (diagonal 0) gets the weight 0.
    products
        (n_folds, n_targets, n_variables): A'target.
    powers
        (n_folds, n_targets): |target|^2. A target without power gets weights of 0.

    Returns
    -------
    solutions
        (n_folds, n_targets, n_variables): the weights x; NaN where a fit did not converge.
    violations
        (n_folds, n_targets): how far the weights are from optimal. It is the largest correlation between the residual
        and a variable whose weight could still improve the fit (relative to the length of the target). Rounding leaves
        about 1e-14, and collinear directions that were left out up to 1e-5. Above that, the fit has failed.

    Examples
    --------
    >>> import numpy as np
    >>> variables, target = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([2.0, -1.0])
    >>> gram, product = variables.T @ variables, variables.T @ target
    >>> fit_nonnegative(gram[None], product[None, None], np.array([[5.0]]))[0]
    array([[[2., 0.]]])
    """
    solutions, violations = np.zeros(products.shape), np.zeros(powers.shape)
    for gram, product, power, solution, violation in zip(grams, products, powers, solutions, violations, strict=True):
        lengths = np.sqrt(np.diag(gram))
        varied, targets = np.flatnonzero(lengths > 0), np.flatnonzero(power > 0)
        if not (len(varied) and len(targets)):
            continue
        lengths, floors = lengths[varied], np.sqrt(power[targets])
        # Give all variables length 1, so that none is lost in rounding beside another.
        unit = gram[np.ix_(varied, varied)] / lengths[:, None] / lengths
        along = product[np.ix_(targets, varied)] / lengths / floors[:, None]
        values, vectors = np.linalg.eigh(unit)
        kept = values > _COLLINEAR * values[-1]
        roots = np.sqrt(values[kept])
        root, aims = roots[:, None] * vectors[:, kept].T, along @ vectors[:, kept] / roots
        found = np.stack([_fit(root, aim) for aim in aims])
        residuals = along - found @ unit
        violation[targets] = np.where(found > 0, np.abs(residuals), residuals).max(axis=1, initial=0)
        solution[np.ix_(targets, varied)] = found * floors[:, None] / lengths
    return solutions, violations


def _fit(root: Float[np.ndarray, "n_rows n_variables"], aim: Float[np.ndarray, " n_rows"]) -> np.ndarray:
    try:
        return np.asarray(nnls(root, aim, maxiter=int(_STEPS * root.shape[1]))[0])
    except RuntimeError:  # the solver did not converge
        return np.full(root.shape[1], np.nan)
