"""Components of PLS from products alone: leading eigenvectors of a matrix that is deflated after each.

This module is compiled with numba: import it inside functions (`murine.compilation`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from murine.compilation import compiled

#: An eigenvector has converged when its residual is less than this share of the eigenvalue.
TOLERANCE = 1e-9

#: Largest number of Lanczos steps; after that the whole matrix is decomposed. Twenty steps are usual.
_MAX_STEPS = 64

#: An eigenvalue below this share of the first one is rounding.
_NEGLIGIBLE = 1e-14


@compiled
def _multiply(matrix: np.ndarray, vector: np.ndarray, out: np.ndarray) -> None:
    """Compute the product with a symmetric matrix as a sum of its rows.

    A processor adds rows at many columns at once, although every entry adds its terms one after the other: the numbers
    are those of a loop over the columns. Two rows at a time are fastest.
    """
    n = len(vector)
    out[:] = 0.0
    for row in range(0, n - 1, 2):
        a, b = vector[row], vector[row + 1]
        for k in range(n):
            out[k] = out[k] + matrix[row, k] * a + matrix[row + 1, k] * b
    if n % 2:
        a = vector[n - 1]
        for k in range(n):
            out[k] += matrix[n - 1, k] * a


@compiled
def _product(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the scalar product of two vectors."""
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@compiled
def _largest_ritz(
    diagonal: np.ndarray, beside: np.ndarray, size: int, below: float, weights: np.ndarray
) -> tuple[float, float]:
    """Find the largest eigenvalue of a tridiagonal matrix, which is above ``below``, and its eigenvector.

    Above the eigenvalues of the matrix without its first row, the pivots from the last row upwards are negative. The
    first pivot falls through zero at the eigenvalue, less and less steeply, so Newton's steps from below do not
    overshoot. Its slope is the squared length of the eigenvector whose first entry is 1, which the other pivots give
    without cancellation. Returns the eigenvalue and the length; ``weights`` is not divided by it.
    """
    low, high = below, 0.0
    for k in range(size):
        radius = (beside[k - 1] if k else 0.0) + (beside[k] if k < size - 1 else 0.0)
        high = max(high, diagonal[k] + radius)
    value, power = low, 1.0
    for _ in range(100):
        k = size - 1
        weights[k] = diagonal[k] - value
        while k > 0 and weights[k] < 0.0:
            k -= 1
            weights[k] = diagonal[k] - value - beside[k] ** 2 / weights[k + 1]
        if k > 0:  # not above the eigenvalues of the other rows
            low = value
            value = (low + high) / 2
            continue
        first = weights[0]
        weights[0], power = 1.0, 1.0
        for k in range(1, size):
            weights[k] = -beside[k - 1] * weights[k - 1] / weights[k]
            power += weights[k] ** 2
        if first > 0.0:
            low = value
        else:
            high = value
        step = first / power
        if abs(step) <= 1e-15 * value:
            break
        value += step
        if value <= low or value >= high:
            value = (low + high) / 2
    return value, np.sqrt(power)


@compiled
def _leading_eigenvector(matrix: np.ndarray, basis: np.ndarray, work: np.ndarray, out: np.ndarray) -> None:
    """Find the leading eigenvector of a symmetric matrix without negative eigenvalues, by Lanczos' iteration.

    The Lanczos vectors lose their orthogonality only once the leading eigenvector has been found, so they are not made
    orthogonal again. If it is not found soon, because the second eigenvalue is as large or only rounding is left, the
    whole matrix is decomposed.
    """
    n = len(matrix)
    diagonal, beside, weights = np.empty(_MAX_STEPS), np.empty(_MAX_STEPS), np.empty(_MAX_STEPS)
    start = 0
    for k in range(n):
        if matrix[k, k] > matrix[start, start]:
            start = k
    basis[0] = matrix[start]
    length = np.sqrt(_product(basis[0], basis[0]))
    found = False
    value, size = 0.0, 0
    while length > 0.0 and size < _MAX_STEPS:
        share = 1.0 / length
        for k in range(n):
            basis[size, k] *= share
        if size:
            beside[size - 1] = length
        vector = basis[size]
        _multiply(matrix, vector, work)
        diagonal[size] = _product(vector, work)
        if size:
            for k in range(n):
                work[k] -= diagonal[size] * vector[k] + length * basis[size - 1, k]
        else:
            for k in range(n):
                work[k] -= diagonal[size] * vector[k]
        length = np.sqrt(_product(work, work))
        size += 1
        # If only rounding is left, stop: a vector made of it lies in the space of those before, and could cancel them.
        if size % 3 == 0 or length <= TOLERANCE * max(value, diagonal[0]):
            value, total = _largest_ritz(diagonal, beside, size, max(value, diagonal[0]), weights)
            if length * abs(weights[size - 1]) <= TOLERANCE * value * total:
                out[:] = 0.0
                for j in range(size):
                    share = weights[j] / total
                    for k in range(n):
                        out[k] += share * basis[j, k]
                found = True
                break
        if size < _MAX_STEPS:
            basis[size] = work
    if not found:
        out[:] = np.linalg.eigh(matrix)[1][:, n - 1]


@compiled
def _extract_components(covariances: np.ndarray, powers: np.ndarray, rotations: np.ndarray) -> None:
    """Extract one component after the other, and deflate the covariances by each."""
    n = len(powers)
    basis, work, weights, loadings = np.empty((_MAX_STEPS, n)), np.empty(n), np.empty(n), np.empty(rotations.shape)
    rotations[:] = 0.0
    first = 0.0
    for c in range(len(rotations)):
        _leading_eigenvector(covariances, basis, work, weights)
        _multiply(covariances, weights, work)
        value = _product(weights, work)
        if value <= _NEGLIGIBLE * first or value <= 0.0:
            break
        first = max(first, value)
        rotation = rotations[c]
        rotation[:] = weights
        for _ in range(2):  # make scores orthogonal to those before; twice, against rounding
            for j in range(c):
                shared = _product(loadings[j], rotation)
                for k in range(n):
                    rotation[k] -= shared * rotations[j, k]
        power = 0.0
        for k in range(n):
            power += powers[k] * rotation[k] ** 2
        share = 1.0 / np.sqrt(power)
        for k in range(n):
            rotation[k] *= share
            loadings[c, k] = powers[k] * rotation[k]
        half = value * share * share / 2
        for k in range(n):
            work[k] = work[k] * share - half * loadings[c, k]
        for row in range(n):
            a, b = loadings[c, row], work[row]
            for k in range(n):
                covariances[row, k] -= a * work[k] + b * loadings[c, k]


def pls_rotations(
    covariances: Float[np.ndarray, "n_directions n_directions"],
    powers: Float[np.ndarray, " n_directions"],
    n_components: int,
) -> Float[np.ndarray, "n_components n_directions"]:
    """Return the matrix that turns coordinates X of stimuli into scores of PLS.

    X times a row has length 1 over the training stimuli. Deflating X by a score t leaves X - t p', with p = X't. Both
    X'YY'X and later rotations follow from products alone.

    Parameters
    ----------
    covariances
        (n_directions, n_directions): X'YY'X, products of the coordinates with the responses to the training stimuli. It
        is overwritten.
    powers
        (n_directions,): the diagonal of X'X, which is diagonal; above 0.

    Returns
    -------
    rotations
        (n_components, n_directions): zeros from where the responses are fully explained.

    References
    ----------
    Dayal & MacGregor 1997, J. Chemometrics 11: 73-85.
    """
    found = np.empty((n_components, len(powers)))
    _extract_components(covariances, powers, found)
    return found
