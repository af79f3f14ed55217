"""Nuclear norms: sums of singular values, without the singular values.

Compiled: import it where it is needed (`murine.compilation`)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from murine.compilation import compiled_sums

#: Distance of the points of integration on a logarithmic scale: the rule is off by 4 exp(-pi^2 / step).
_STEP = 0.28

#: Where they start and end, over the root of the sum of squares. Before, a singular value adds at most this; beyond,
#: two terms of a series say the rest.
_START, _STOP = 1e-18, 1e3


@compiled_sums
def _bidiagonalise(matrix: np.ndarray, diagonal: np.ndarray, beside: np.ndarray) -> None:
    """Reduce a matrix, at least as high as wide, to two diagonals with the same singular values.

    Householder's reflections from the left and from the right in turn. Both are applied in one pass over the matrix,
    after one for the products with the left one."""
    height, width = matrix.shape
    left, rights, sums = np.empty(height), np.empty(width), np.empty(width)
    for k in range(width):
        power = 0.0
        for i in range(k, height):
            left[i] = matrix[i, k]
            power += left[i] * left[i]
        pivot = -np.sqrt(power) if left[k] > 0.0 else np.sqrt(power)
        diagonal[k] = pivot
        left[k] -= pivot
        rest = width - k - 1
        if rest == 0:
            break
        across, right = sums[:rest], rights[:rest]
        across[:] = 0.0
        scale = pivot * left[k]  # minus half the squared length of the reflection's vector
        share = 1.0 / scale if scale < 0.0 else 0.0
        for i in range(k, height - 3, 4):
            a, b, c, d = share * left[i], share * left[i + 1], share * left[i + 2], share * left[i + 3]
            first, second, third, fourth = (
                matrix[i, k + 1 :],
                matrix[i + 1, k + 1 :],
                matrix[i + 2, k + 1 :],
                matrix[i + 3, k + 1 :],
            )
            for j in range(rest):
                across[j] += (a * first[j] + b * second[j]) + (c * third[j] + d * fourth[j])
        for i in range(height - (height - k) % 4, height):
            row, a = matrix[i, k + 1 :], share * left[i]
            for j in range(rest):
                across[j] += a * row[j]
        row, power = matrix[k, k + 1 :], 0.0
        for j in range(rest):
            right[j] = row[j] + left[k] * across[j]
            power += right[j] * right[j]
        pivot = -np.sqrt(power) if right[0] > 0.0 else np.sqrt(power)
        beside[k] = pivot
        right[0] -= pivot
        scale = pivot * right[0]
        share = 1.0 / scale if scale < 0.0 else 0.0
        for i in range(k + 1, height - 3, 4):
            a, b, c, d = left[i], left[i + 1], left[i + 2], left[i + 3]
            first, second, third, fourth = (
                matrix[i, k + 1 :],
                matrix[i + 1, k + 1 :],
                matrix[i + 2, k + 1 :],
                matrix[i + 3, k + 1 :],
            )
            e, f, g, h = 0.0, 0.0, 0.0, 0.0
            for j in range(rest):
                x, y = across[j], right[j]
                first[j] += a * x
                e += first[j] * y
                second[j] += b * x
                f += second[j] * y
                third[j] += c * x
                g += third[j] * y
                fourth[j] += d * x
                h += fourth[j] * y
            e, f, g, h = e * share, f * share, g * share, h * share
            for j in range(rest):
                y = right[j]
                first[j] += e * y
                second[j] += f * y
                third[j] += g * y
                fourth[j] += h * y
        for i in range(height - (height - k - 1) % 4, height):
            row, a, along = matrix[i, k + 1 :], left[i], 0.0
            for j in range(rest):
                row[j] += a * across[j]
                along += row[j] * right[j]
            along *= share
            for j in range(rest):
                row[j] += along * right[j]


@compiled_sums
def _sum_of_singular_values(diagonal: np.ndarray, beside: np.ndarray, points: np.ndarray) -> float:
    """Of the two diagonals: with T their square, the integral of tr T / (T + x^2) over x > 0, times 2 / pi.

    On a logarithmic scale each singular value is the same bell curve, for which equidistant points are exact but for
    their distance. The trace is the derivative of log det(s T + x^2) by log s at s = 1; pivots and their derivatives
    are sums of positive terms, as in quotient-difference algorithms, so small singular values keep their digits."""
    n, n_points = len(diagonal), len(points)
    traces, slopes, left = np.zeros(n_points), np.zeros(n_points), points * points
    trace, squared = 0.0, 0.0
    before = 0.0
    for k in range(n):
        power = diagonal[k] ** 2
        coupling = beside[k] ** 2 if k < n - 1 else 0.0
        trace += power + before
        squared += (power + before) ** 2 + 2 * power * coupling
        before = coupling
        for p in range(n_points):
            inverse = 1.0 / (left[p] + power)
            ratio = coupling * inverse
            traces[p] += (slopes[p] + power) * inverse
            slopes[p] = ratio * inverse * (left[p] * left[p] + slopes[p] * power)
            left[p] = points[p] * points[p] + ratio * left[p]
    total = 0.0
    for p in range(n_points):
        total += points[p] * traces[p]
    end = points[-1] * np.exp(_STEP)
    total += trace / end / (1 - np.exp(-_STEP)) - squared / end**3 / (1 - np.exp(-3 * _STEP))
    return total * _STEP * 2 / np.pi


@compiled_sums
def _norms(matrices: np.ndarray, out: np.ndarray) -> None:
    steps = np.arange(0.0, np.log(_STOP / _START), _STEP)
    points = _START * np.exp(steps)
    width = matrices.shape[2]
    diagonal, beside = np.empty(width), np.empty(width)
    for m in range(len(matrices)):
        _bidiagonalise(matrices[m], diagonal, beside)
        power = np.sum(diagonal**2) + np.sum(beside[: width - 1] ** 2)
        size = np.sqrt(power)
        out[m] = size  # 0 or NaN
        if size > 0.0:
            out[m] *= _sum_of_singular_values(diagonal / size, beside / size, points)


def nuclear_norms(matrices: Float[np.ndarray, "n_matrices height width"]) -> Float[np.ndarray, " n_matrices"]:
    """Sum the singular values of each matrix, to 1e-14 of their sum; NaN where it is not finite."""
    if matrices.shape[1] < matrices.shape[2]:
        matrices = matrices.transpose(0, 2, 1)
    out = np.empty(len(matrices))
    _norms(np.array(matrices, dtype=np.float64, order="C"), out)
    return out
