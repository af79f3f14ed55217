"""Groups of images for networks that do not fit into memory with all images, and the merging of their kernels."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from murine.errors import MurineError
from murine.networks.capture.layers import CapturedLayer
from murine.networks.layer_flags import UNCERTAIN
from murine.networks.layer_kernel import LayerKernel
from murine.networks.memory import available_memory

#: Share of the available memory that one forward pass may use.
MEMORY_SHARE = 0.5

#: Share of the available memory for features that are collected from groups of images, in addition to the memory of a
#: pass.
GATHERED_SHARE = 0.25


def affordable_images(bytes_per_image: int, n: int, device: torch.device, memory: int | None = None) -> int:
    """Return how many images may pass together, with the given memory in bytes or all that is available."""
    if memory is None:
        memory = _memory(device)
    return max(2, min(n, int(MEMORY_SHARE * memory / max(bytes_per_image, 1))))


def image_groups(n: int, batch_size: int) -> list[np.ndarray]:
    """Split n images into one group, or into groups of which any two fit into one batch.

    Examples
    --------
    >>> [group.tolist() for group in image_groups(6, 4)]
    [[0, 1], [2, 3], [4, 5]]
    """
    if batch_size >= n:
        return [np.arange(n)]
    return np.array_split(np.arange(n), -(-n // (batch_size // 2)))


def pairs_of(groups: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return passes that show every pair of images together: all images, or every pair of groups."""
    return [np.concatenate(pair) for pair in itertools.combinations(groups, 2)] or list(groups)


def covering(groups: list[np.ndarray]) -> list[np.ndarray]:
    """Return passes of two groups that show every image at least once."""
    if len(groups) == 1:
        return groups
    pairs = [groups[i : i + 2] for i in range(0, len(groups) - 1, 2)]
    if len(groups) % 2:
        pairs.append(groups[-2:])
    return [np.concatenate(pair) for pair in pairs]


def bundles(bytes_per_image: Mapping[str, int], n: int, device: torch.device) -> list[list[str]]:
    """Return which outputs are collected together, in the order of execution.

    Raises
    ------
    MurineError
        If memory does not suffice for one of them.
    """
    memory = _memory(device)
    budget = GATHERED_SHARE * memory
    found: list[list[str]] = []
    filled = budget
    for name, size in bytes_per_image.items():
        if n * size > memory / 2:
            raise MurineError(
                f"memory does not suffice for the features of {name!r}: {n} images take {n * size / 1e9:.1f} GB, of "
                f"{memory / 1e9:.1f} GB available. Choose other layers (--layers) or a smaller --input-size."
            )
        if filled + n * size > budget:
            found.append([])
            filled = 0.0
        found[-1].append(name)
        filled += n * size
    return found


def _memory(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()


@dataclass
class GroupedKernels:
    """One output in one pass: like `CapturedLayer`, without its depth.

    Attributes
    ----------
    is_certain
        As `Layout.is_certain`.
    standardised, window
        As `CapturedLayer`.
    """

    shape: tuple[int, ...]
    kernel: LayerKernel | None = None
    flag: str = ""
    same_as: str = ""
    reduced: Any = None
    is_certain: bool = True
    standardised: LayerKernel | None = None
    window: str = ""


class Merged:
    """Kernels of all images, merged from passes over pairs of groups."""

    def __init__(self, n: int, names: list[str]) -> None:
        self.n = n
        self._names = names
        self._found: dict[str, GroupedKernels] = {}

    def space(self, n_members: int) -> Mapping[str, np.ndarray]:
        """Return zeros for the covariances of one pass, in memory of their own, so that the heap is not fragmented."""
        shape = (len(self._names), n_members, n_members)
        pages = mmap.mmap(-1, 8 * int(np.prod(shape)))
        return dict(zip(self._names, np.frombuffer(pages).reshape(shape), strict=True))

    def add(self, members: np.ndarray, found_in_pass: Mapping[str, GroupedKernels]) -> None:
        for key, found in found_in_pass.items():
            if len(members) == self.n or found.kernel is None:
                self._found.setdefault(key, found)
                continue
            if key not in self._found:
                kernel, standardised = (self._empty(part) for part in (found.kernel, found.standardised))
                self._found[key] = replace(found, kernel=kernel, standardised=standardised)
            whole = self._found[key]
            for of_all, part in ((whole.kernel, found.kernel), (whole.standardised, found.standardised)):
                if of_all is not None and part is not None:
                    of_all.covariance[np.ix_(members, members)] = part.covariance
                    of_all.means[members] = part.means

    def _empty(self, part: LayerKernel | None) -> LayerKernel | None:
        return None if part is None else LayerKernel(np.zeros((self.n, self.n)), np.zeros(self.n), part.n_units)

    def layers(self) -> list[CapturedLayer]:
        """Return all layers in the order of execution; identical ones are marked."""
        first: dict[str, str] = {}
        layers = []
        last = max(sum(not found.window for found in self._found.values()) - 1, 1)
        i = -1
        for name, found in self._found.items():
            i += not found.window  # windows have the depth of their layer
            kernel, same_as, flag, standardised = found.kernel, found.same_as, found.flag, found.standardised
            if kernel is not None:
                flag = flag or kernel.flag
                same_as = same_as or first.setdefault(kernel.digest, name)
                if not (found.is_certain or flag):  # for other images, features differ
                    kernel, same_as, flag, standardised = None, "", UNCERTAIN, None
            same_as = "" if same_as == name else same_as
            layers.append(
                CapturedLayer(
                    name, i / last, found.shape, kernel, flag, same_as, found.reduced, standardised, found.window
                )
            )
        return layers
