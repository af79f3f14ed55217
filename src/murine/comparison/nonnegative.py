"""Non-negative least squares on normal equations, made to end on every input.

Compiled: import it where it is needed (`murine.compilation`)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from murine.compilation import compiled

#: A variable enters if the residual correlates with it by more than this.
_ENTRY = 1e-12

#: A variable whose part outside the span of the chosen ones is a smaller share of its power than this adds nothing.
_COLLINEAR = 1e-12

#: How often a variable may come in without the loss going down. Gains near the optimum are below what rounding leaves
#: of the loss, so once is too few.
_PATIENCE = 3

#: Steps, over the number of variables, after which the best answer so far is returned. Three is usual.
_STEPS = 10


@compiled
def _factorise(gram: np.ndarray, members: np.ndarray, factor: np.ndarray, start: int, stop: int) -> None:
    """Rows ``start`` to ``stop`` of the Cholesky factor of the members' part of ``gram``."""
    for row in range(start, stop):
        for column in range(row + 1):
            left = gram[members[row], members[column]]
            for k in range(column):
                left -= factor[row, k] * factor[column, k]
            if column < row:
                factor[row, column] = left / factor[column, column]
            else:  # taking a member out never lowers the others' pivots below what they came in with, but for rounding
                factor[row, row] = np.sqrt(max(left, _COLLINEAR * gram[members[row], members[row]]))


@compiled
def _solve(factor: np.ndarray, products: np.ndarray, members: np.ndarray, size: int, out: np.ndarray) -> None:
    for row in range(size):
        left = products[members[row]]
        for k in range(row):
            left -= factor[row, k] * out[k]
        out[row] = left / factor[row, row]
    for row in range(size - 1, -1, -1):
        left = out[row]
        for k in range(row + 1, size):
            left -= factor[k, row] * out[k]
        out[row] = left / factor[row, row]


@compiled
def _fit(gram: np.ndarray, products: np.ndarray, power: float, solution: np.ndarray) -> float:
    """Lawson and Hanson's active set as Bro and de Jong (1997) have it, on the Gram matrix.

    Minimises |target - A x|^2 over x >= 0, where ``gram`` is A'A, ``products`` A'target and ``power`` |target|^2. It
    ends because a variable that was taken in a few times without the loss going down is not taken in again until it
    has, and because steps are counted. The answer is feasible at every step.

    Returns the largest violation of the conditions of optimality, as a correlation (0 to 1)."""
    n = len(products)
    solution[:] = 0.0
    length = np.sqrt(np.diag(gram))
    floor = np.sqrt(power)
    factor = np.zeros((n, n))
    members = np.zeros(n, np.int64)
    candidate = np.zeros(n)
    idle = np.zeros(n, np.int64)  # entries of each variable since the loss last went down
    idle[length <= 0.0] = _PATIENCE
    inside = np.zeros(n, np.bool_)
    gradient = products.copy()
    size = 0
    loss = 0.0
    for _ in range(_STEPS * (n + 10)):
        entering = -1
        steepest = _ENTRY * floor
        for j in range(n):
            if not inside[j] and idle[j] < _PATIENCE and gradient[j] > steepest * length[j]:
                entering, steepest = j, gradient[j] / length[j]
        if entering < 0:
            break
        members[size] = entering
        share = gram[entering, entering]
        for column in range(size):
            left = gram[entering, members[column]]
            for k in range(column):
                left -= factor[size, k] * factor[column, k]
            factor[size, column] = left / factor[column, column]
            share -= factor[size, column] ** 2
        if share <= _COLLINEAR * gram[entering, entering]:
            idle[entering] = _PATIENCE
            continue
        factor[size, size] = np.sqrt(share)
        inside[entering] = True
        size += 1
        while size > 0:
            _solve(factor, products, members, size, candidate)
            step, leaving = 1.0, -1
            for k in range(size):
                if candidate[k] <= 0.0:
                    now = solution[members[k]]
                    reach = now / (now - candidate[k]) if now > 0.0 else 0.0
                    if leaving < 0 or reach < step:
                        step, leaving = reach, k
            kept = 0
            first_out = size
            for k in range(size):
                j = members[k]
                value = solution[j] + step * (candidate[k] - solution[j]) if leaving >= 0 else candidate[k]
                if k == leaving or value <= 0.0:
                    solution[j] = 0.0
                    inside[j] = False
                    first_out = min(first_out, k)
                else:
                    solution[j] = value
                    members[kept] = j
                    kept += 1
            size = kept
            if leaving < 0:
                break
            _factorise(gram, members, factor, first_out, size)
        gradient[:] = products
        for k in range(size):
            value = solution[members[k]]
            row = gram[members[k]]
            for j in range(n):
                gradient[j] -= value * row[j]
        now = 0.0
        for k in range(size):
            now -= 0.5 * solution[members[k]] * (products[members[k]] + gradient[members[k]])
        if now < loss - 1e-14 * power:
            loss = now
            for j in range(n):
                if length[j] > 0.0:
                    idle[j] = 0
        else:
            idle[entering] += 1
    worst = 0.0
    for j in range(n):
        if length[j] > 0.0 and floor > 0.0:
            violation = abs(gradient[j]) if solution[j] > 0.0 else gradient[j]
            worst = max(worst, violation / (length[j] * floor))
    return worst


@compiled
def _fit_all(
    grams: np.ndarray, products: np.ndarray, powers: np.ndarray, solutions: np.ndarray, violations: np.ndarray
) -> None:
    for fold in range(len(grams)):
        for target in range(products.shape[1]):
            violations[fold, target] = _fit(
                grams[fold], products[fold, target], powers[fold, target], solutions[fold, target]
            )


def fit_nonnegative(
    grams: Float[np.ndarray, "n_folds n_variables n_variables"],
    products: Float[np.ndarray, "n_folds n_targets n_variables"],
    powers: Float[np.ndarray, "n_folds n_targets"],
) -> tuple[Float[np.ndarray, "n_folds n_targets n_variables"], Float[np.ndarray, "n_folds n_targets"]]:
    """Minimise |target - A x|^2 over x >= 0, for several targets and several A.

    Parameters
    ----------
    grams
        A'A of each fold. A variable without power (a diagonal of 0) gets the weight 0; one that others determine
        (to 1e-6 of its length) gets 0 beside them.
    products
        A'target.
    powers
        |target|^2; a target without power gets weights of 0.

    Returns
    -------
    solutions
        The x.
    violations
        How far from optimal they are: the largest correlation of the residual with a variable whose weight is free
        to change (positive ones of those at zero, any of the others), over the length of the target instead of that
        of the residual. Rounding leaves about 1e-14, variables left out as collinear up to 1e-6; above
        that the fit has failed.
    """
    solutions, violations = np.zeros(products.shape), np.zeros(powers.shape)
    if grams.shape[1]:
        grams, products, powers = (np.ascontiguousarray(x, np.float64) for x in (grams, products, powers))
        _fit_all(grams, products, powers, solutions, violations)
    return solutions, violations
