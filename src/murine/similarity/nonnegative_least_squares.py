"""Non-negative least squares from products alone: SciPy's Lawson and Hanson on a root of the Gram matrix."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

#: A direction that variables of length 1 share in less than this share of their power is left out: it is rounding.
_COLLINEAR = 1e-12

#: Steps over the number of variables, before a fit counts as failed. Three is usual.
_STEPS = 100


def fit_nonnegative(
    grams: Float[np.ndarray, "n_folds n_variables n_variables"],
    products: Float[np.ndarray, "n_folds n_targets n_variables"],
    powers: Float[np.ndarray, "n_folds n_targets"],
) -> tuple[Float[np.ndarray, "n_folds n_targets n_variables"], Float[np.ndarray, "n_folds n_targets"]]:
    """Minimise |target - A x|^2 over x >= 0, for several targets and several A.

    Parameters
    ----------
    grams
        A'A of each fold. A variable without power (a diagonal of 0) gets the weight 0.
    products
        A'target.
    powers
        |target|^2; a target without power gets weights of 0.

    Returns
    -------
    solutions
        The x; NaN where a fit has not ended.
    violations
        How far from optimal they are: the largest correlation of the residual with a variable whose weight is free
        to change (positive ones of those at zero, any of the others), over the length of the target instead of that
        of the residual. Rounding leaves about 1e-14, directions left out as collinear up to 1e-5; above that the fit
        has failed.
    """
    solutions, violations = np.zeros(products.shape), np.zeros(powers.shape)
    for gram, product, power, solution, violation in zip(grams, products, powers, solutions, violations, strict=True):
        lengths = np.sqrt(np.diag(gram))
        varied, targets = np.flatnonzero(lengths > 0), np.flatnonzero(power > 0)
        if not (len(varied) and len(targets)):
            continue
        lengths, floors = lengths[varied], np.sqrt(power[targets])
        # Of length 1, all of them: no variable is small beside another.
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
    except RuntimeError:  # it has gone round in circles
        return np.full(root.shape[1], np.nan)
