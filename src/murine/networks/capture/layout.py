"""Which rows of an output belong to which image, found by comparing two passes that share some images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from murine.networks.layer_flags import NO_AXIS, ORDER

#: Number of units that are compared for each image.
UNITS = 1024

#: Smallest number of units that are compared for each row, if an image has many rows.
ROW_UNITS = 16

#: Largest difference that rounding may cause: root mean square, relative to the features, in units of the last digit of
#: the coarsest number type so far. In 60 architectures with float32, rounding reached 40.
ROUNDING = 4000.0

#: The same limit for number types with few digits.
MOST_ROUNDING = 0.1

#: Factor by which one order of rows must fit better than any other to count as certain.
DISTINCT = 10.0

#: Flags of outputs whose rows cannot be assigned to images at all.
_WITHOUT_ROWS = (NO_AXIS, ORDER)


@dataclass(frozen=True)
class Layout:
    """The position of the images in an output.

    Attributes
    ----------
    axis
        The axis that holds the images.
    before, after
        The axis is (before, n_images, after) in C order: (1, n, 1) for one row per image; (1, n, k) for k windows of
        each image in a row; (T, n, 1) for time steps, each with all images.
    is_certain
        Whether other orders are excluded. They are not if the features of all images are equal.
    flag
        Why the features are not a function of the image, or cannot be assigned to images; otherwise ''.
    """

    axis: int = 0
    before: int = 1
    after: int = 1
    is_certain: bool = True
    flag: str = ""

    def features(self, tensor: Tensor, n: int, shape: tuple[int, ...]) -> Tensor | None:
        """Return an output as (n, *features), a view or a copy; None if its shape is not the one seen before.

        Parameters
        ----------
        tensor
            The output.
        n
            Number of images.
        shape
            Shape of the output when the layout was found, with any number of images.
        """
        if self.flag in _WITHOUT_ROWS:
            return None
        rows = n * self.before * self.after
        if tuple(tensor.shape) != (*shape[: self.axis], rows, *shape[self.axis + 1 :]):
            return None
        tensor = tensor.movedim(self.axis, 0)
        if self.before > 1:
            tensor = tensor.reshape(self.before, n, self.after, *tensor.shape[1:]).transpose(0, 1)
            return tensor.squeeze(2) if self.after == 1 else tensor
        return tensor.reshape(n, self.after, *tensor.shape[1:]) if self.after > 1 else tensor


def rows_of(tensor: Tensor, axis: int, n: int) -> np.ndarray:
    """Return evenly spaced units of every row along an axis, (n_rows, n_units), about UNITS for each image."""
    whole = tensor.detach().movedim(axis, 0) if tensor.dim() > 1 else tensor.detach()[:, None]
    n_units = math.prod(whole.shape[1:])
    wanted = max(UNITS * n // len(whole), ROW_UNITS)
    # Channels are often the fastest axis. A step without factors 2 and 3 does not select only a few of them.
    chosen = np.arange(0, n_units, n_units // wanted // 6 * 6 + 1)
    # torch's own unravel_index imports SymPy when it is first called, which takes a second.
    places: Any = [
        torch.from_numpy(place).to(whole.device) for place in np.unravel_index(chosen, tuple(whole.shape[1:]))
    ]
    rows = whole[:, *places]  # to flatten all units would copy them
    if rows.is_complex():
        rows = torch.view_as_real(rows.resolve_conj()).flatten(1)
    kept = rows if rows.dtype == torch.float64 else rows.float()
    return kept.cpu().numpy().copy()  # a view would keep the whole layer in memory


def axes_of_images(shape: Sequence[int], n: int, other_shape: Sequence[int], other_n: int) -> list[int]:
    """Return the axes of an output whose size is proportional to the number of images."""
    if len(shape) != len(other_shape):
        return []
    return [
        axis
        for axis, (size, other) in enumerate(zip(shape, other_shape, strict=True))
        if size * other_n == other * n and size != other
    ]


def find_layout(
    axis: int,
    first: np.ndarray,
    second: np.ndarray,
    n_images: tuple[int, int],
    shared: tuple[list[int], list[int]],
    precision: float,
) -> Layout | None:
    """Return the order of rows in which shared images have the same features in both passes; None if there is none.

    Parameters
    ----------
    axis
        The axis of the rows.
    first, second
        The `rows_of` the axis in both passes.
    n_images
        Number of images in each pass.
    shared
        Positions of the shared images in each pass, in the same order.
    precision
        Distance between 1 and the next number of the coarsest type of numbers on the way.
    """
    n, other_n = n_images
    fold = len(first) // n
    if first.shape[1] != second.shape[1]:
        return None
    orders = [(before, fold // before) for before in range(1, fold + 1) if fold % before == 0]
    residuals = []
    for before, after in orders:
        one = first.reshape(before, n, after, -1)[:, shared[0]]
        two = second.reshape(before, other_n, after, -1)[:, shared[1]]
        residuals.append(difference(one, two))
    best = int(np.argmin(residuals))
    if residuals[best] > tolerance(precision):
        return None
    others = [residual for i, residual in enumerate(residuals) if i != best]
    certain = all(residual > DISTINCT * max(residuals[best], precision) for residual in others)
    before, after = orders[best] if certain else orders[0]
    return Layout(axis, before, after, certain)


def tolerance(precision: float) -> float:
    """Return the `difference` that rounding may cause."""
    return min(ROUNDING * precision, MOST_ROUNDING)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Return the root mean square difference as a share of the root mean square; infinite if only one is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        same = (first == second) | (np.isnan(first) & np.isnan(second))
        apart = np.where(same, 0.0, first - second)
        power = np.where(np.isfinite(first), first, 0.0) ** 2
        if not np.isfinite(apart).all():
            return float("inf")
        if not apart.any():
            return 0.0
        return float(np.sqrt((apart**2).mean() / max(power.mean(), np.finfo(float).tiny)))


def same_rows_elsewhere(first: np.ndarray, second: np.ndarray, precision: float) -> bool:
    """Return whether each row of the second pass equals a row of the first pass, at any position, each used once."""
    if first.shape[1] != second.shape[1] or first.shape[0] * second.shape[0] > 10_000:
        return False
    left = list(first)
    for row in second:
        apart = [difference(row, other) for other in left]
        if not left or min(apart) > tolerance(precision):
            return False
        left.pop(int(np.argmin(apart)))
    return True
