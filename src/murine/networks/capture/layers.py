"""What capture gives: a layer with its kernel, and the features that a reducer sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from murine.networks.layer_kernel import LayerKernel


@dataclass(frozen=True, eq=False)
class Features:
    """The input of a reducer: the features of one output of one module, available only while the reducer runs.

    Attributes
    ----------
    name
        As `CapturedLayer.name`.
    tensor
        (n_stimuli, *shape), float32 or float64, on the device of the network. It is often a view of a tensor that the
        network still needs: do not change it, and keep neither it nor a view of it. Unit u is number u in the C order
        of ``shape``, whatever the order in memory.
    image_size
        (height, width) of the images that entered the network, or () where they are no images.
    """

    name: str
    tensor: Tensor
    image_size: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features of one image."""
        return tuple(self.tensor.shape[1:])

    @property
    def n_units(self) -> int:
        return int(np.prod(self.shape))

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """The features by blocks of at most ``size`` units, (n_stimuli, n_members), each with its first unit.

        Where the memory is in another order, what is copied at once is a block or one member of the first axis,
        whichever is more."""
        if not self.shape:
            yield 0, self.tensor[:, None]
            return
        inner = max(self.n_units // max(self.shape[0], 1), 1)
        together = max(size // inner, 1)
        for first in range(0, self.shape[0], together):
            part = self.tensor[:, first : first + together].flatten(1)
            for start in range(0, part.shape[1], size):
                yield first * inner + start, part[:, start : start + size]

    def units(self, which: np.ndarray) -> np.ndarray:
        """The features of some units (numbers in C order of ``shape``): (n_stimuli, n_wanted) float64."""
        if not self.shape:
            return self.tensor[:, None].double().cpu().numpy()[:, which]
        places = np.unravel_index(which, self.shape)
        index: Any = (slice(None), *(torch.as_tensor(place, device=self.tensor.device) for place in places))
        return self.tensor[index].double().cpu().numpy()


#: Must return something small, not a view of the features: a view would keep the whole layer in memory.
Reducer = Callable[[Features], Any]


@dataclass(frozen=True, repr=False)
class CapturedLayer:
    """One output of one module.

    Attributes
    ----------
    name
        The module's path in ``named_modules()``; ``path:2`` for its second call; ``path[0]`` or ``path[key]`` for a
        member of a tuple, a dictionary or a dataclass. A module with several paths has the path that it ran under.
    depth
        Position in the order of execution, 0 (first) to 1 (last).
    shape
        Shape of the features of one image.
    kernel
        None where the output cannot be assigned to images. Not to be used where there is a flag.
    flag
        Why the layer cannot be compared, or ''; `murine.networks.layer_flags` lists the reasons.
    same_as
        Name of an earlier layer with identical output, or ''.
    reduced
        What the reducer returned; None without a reducer, or where the output is no function of the image.
    standardised
        The kernel with every unit standardised over images (mean 0, standard deviation 1; constant units become 0),
        where that was asked for.
    window
        The window of the layer's map that this is (`murine.networks.capture.windows.MapWindow`), where windows were
        asked for; '' for the whole layer. The name then is ``path@window``.
    """

    name: str
    depth: float
    shape: tuple[int, ...]
    kernel: LayerKernel | None
    flag: str = ""
    same_as: str = ""
    reduced: Any = field(default=None, compare=False, repr=False)
    standardised: LayerKernel | None = field(default=None, compare=False, repr=False)
    window: str = ""

    def __repr__(self) -> str:
        flag = f", {self.flag}" if self.flag else ""
        return f"<CapturedLayer {self.name}: {self.n_units:,} units, depth {self.depth:.2f}{flag}>"

    @property
    def n_units(self) -> int:
        return int(np.prod(self.shape))

    @property
    def with_standardised_units(self) -> CapturedLayer:
        """The layer with the kernel of its standardised units, and the flag of that kernel."""
        kernel = self.standardised
        flag = self.flag or ("" if kernel is None else kernel.flag)
        return replace(self, kernel=kernel, flag=flag, standardised=None)
