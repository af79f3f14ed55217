"""Forward passes that reduce every output to its kernel, or collect features, inside the hook."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from murine.networks.capture.channel_maps import channel_maps
from murine.networks.capture.forward import ForwardPass, Subject
from murine.networks.capture.grouping import GroupedKernels
from murine.networks.capture.layers import Features, Reducer
from murine.networks.capture.layout import Layout
from murine.networks.capture.probing import Probed
from murine.networks.capture.windows import map_windows
from murine.networks.layer_flags import NO_AXIS
from murine.networks.layer_kernel import BLOCK, LayerKernel

#: Number of values of a tensor that are compared to see whether it is unchanged.
_SAMPLE = 1024


class Reduction(ForwardPass):
    """A pass that computes the kernel of every output.

    Parameters
    ----------
    space
        Arrays of zeros for the kernels. They are allocated before the pass, because memory between the large blocks of
        features could not be reused otherwise.
    reducer
        As in `capture`; only if all images pass together.
    second
        Function that computes the kernel of standardised features, if it was asked for.
    windows
        Whether windows of maps are outputs as well (`murine.networks.capture.windows.map_windows`).
    """

    def __init__(
        self,
        subject: Subject,
        probed: Probed,
        advance: Callable[[], None],
        space: Mapping[str, np.ndarray],
        reducer: Reducer | None = None,
        second: Callable[[str, Tensor], LayerKernel] | None = None,
        windows: bool = False,
    ) -> None:
        super().__init__(subject)
        self.probed, self.advance, self.windows = probed, advance, windows
        self.space, self.reducer, self.second = space, reducer, second
        self.found: dict[str, GroupedKernels] = {}
        self._alive: dict[int, _Alive] = {}

    def take(self, key: str, args: tuple[object, ...], tensor: Tensor) -> None:
        self._waiting: dict[str, GroupedKernels] = {}
        self.found[key] = self._reduce(key, tensor)
        self.found.update(self._waiting)  # after their layer
        self.advance()

    def _of_windows(self, key: str, features: Tensor, layout: Layout) -> dict[str, GroupedKernels]:
        maps = channel_maps(Features(key, features, self.image_size))
        found: dict[str, GroupedKernels] = {}
        for window in [] if maps is None else map_windows(maps.shape[2], maps.shape[3]):
            part = maps[:, :, slice(*window.rows), slice(*window.columns)]  # type: ignore[index]
            units, name = flat(part), f"{key}@{window.name}"
            second = None if self.second is None else self.second(name, units)
            found[name] = GroupedKernels(
                tuple(part.shape[1:]), kernel_of(units, None), "", "", None, layout.is_certain, second, window.name
            )
        return found

    def _reduce(self, key: str, tensor: Tensor) -> GroupedKernels:
        layout = self.probed.layouts.get(key, Layout(flag=NO_AXIS))
        shape = _shape_of_features(layout, tensor, self.n)
        features = layout.features(tensor, self.n, self.probed.shapes.get(key, ()))
        if features is None:
            return GroupedKernels(shape, flag=layout.flag or NO_AXIS)
        if features.is_complex():
            return GroupedKernels(tuple(features.shape[1:]), flag="complex")
        features = floating(features)
        shape = tuple(features.shape[1:])
        known = "" if layout.flag else self._known(tensor)
        if known:
            earlier = self.found[known]
            if earlier.kernel is not None and not earlier.flag and np.prod(earlier.shape) == np.prod(shape):
                return replace(earlier, shape=shape, same_as=earlier.same_as or known, is_certain=layout.is_certain)
        self._remember(tensor, key)
        units = flat(features)
        kernel = kernel_of(units, self.space.get(key))
        standardised = None if self.second is None or layout.flag else self.second(key, units)
        reduced = None if layout.flag else self._reduced(key, features)
        if self.windows and not layout.flag:
            self._waiting = self._of_windows(key, features, layout)
        return GroupedKernels(shape, kernel, layout.flag, "", reduced, layout.is_certain, standardised)

    def _known(self, tensor: Tensor) -> str:
        """Return the name of an earlier output that is the same unchanged tensor, or ''."""
        alive = self._alive.get(tensor.data_ptr())
        if alive is None or not _is_dense(tensor) or tensor.is_inference():
            return ""
        same = alive.tensor() is not None and alive.version == tensor._version
        return alive.key if same and torch.equal(_sample(tensor), alive.sample) else ""

    def _remember(self, tensor: Tensor, key: str) -> None:
        if _is_dense(tensor) and not tensor.is_inference():  # tensors of inference mode do not count changes
            self._alive[tensor.data_ptr()] = _Alive(weakref.ref(tensor), tensor._version, _sample(tensor).clone(), key)

    def _reduced(self, key: str, features: Tensor) -> Any:
        return None if self.reducer is None else self.reducer(Features(key, features, self.image_size))


class Gathering(ForwardPass):
    """A pass over some images that adds the features of some outputs to the collection for all ``n_all`` images."""

    def __init__(
        self,
        subject: Subject,
        probed: Probed,
        members: np.ndarray,
        gathered: dict[str, Tensor],
        n_all: int,
        advance: Callable[[], None],
    ) -> None:
        super().__init__(subject)
        self.probed, self.members, self.gathered = probed, torch.as_tensor(members), gathered
        self.n_all, self.advance = n_all, advance

    def take(self, key: str, args: tuple[object, ...], tensor: Tensor) -> None:
        if key in self.gathered:
            features = self.probed.layouts[key].features(tensor, self.n, self.probed.shapes[key])
            if features is not None:
                features = floating(features)
                if not self.gathered[key].numel():
                    self.gathered[key] = features.new_empty((self.n_all, *features.shape[1:]))
                self.gathered[key][self.members] = features
        self.advance()


@dataclass
class _Alive:
    """An output that was reduced, with a weak reference to its tensor."""

    tensor: weakref.ref[Tensor]
    version: int
    sample: Tensor
    key: str


def _is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor has neither gaps nor repeats in memory, so that address and size identify its values."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.numel() > 0 and tensor.numel() == 1 + sum((size - 1) * step for size, step in steps)


def _sample(tensor: Tensor) -> Tensor:
    """Return some values of a dense tensor in memory order. They reveal changes through `Tensor.data`."""
    step = max(1, tensor.numel() // _SAMPLE)
    return tensor.as_strided((tensor.numel() // step,), (step,))


def _shape_of_features(layout: Layout, tensor: Tensor, n: int) -> tuple[int, ...]:
    """Return the shape of the features of one image; of the whole output if the axis of images is unknown."""
    if tensor.is_nested:
        return ()
    shape = tuple(tensor.shape)
    return shape if layout.flag == NO_AXIS else shape[: layout.axis] + shape[layout.axis + 1 :]


def floating(features: Tensor) -> Tensor:
    """Return features as float32 or float64, which have enough digits for products."""
    return features if features.dtype in (torch.float32, torch.float64) else features.float()


def flat(features: Tensor) -> Tensor:
    """Return features as (n_images, n_units), a view or a copy. The order of units is the same for all images."""
    if features.dim() == 4 and features.is_contiguous(memory_format=torch.channels_last):
        features = features.permute(0, 2, 3, 1)
    return features.reshape(len(features), -1)


def kernel_of(features: Tensor, space: np.ndarray | None) -> LayerKernel:
    """Return the kernel of features: with `LayerKernel.of` on the CPU, else with `device_kernel`."""
    if features.device.type == "cpu":
        return LayerKernel.of(features.numpy(), space, torch.get_num_threads())
    return device_kernel(features)


def device_kernel(features: Tensor) -> LayerKernel:
    """Return the kernel of features on their device: products of blocks in their precision, sums in float64."""
    n_units = features.shape[1]
    centre = features.mean(dim=1, keepdim=True)
    total = torch.zeros(len(features), len(features), dtype=torch.float64, device=features.device)
    sums = torch.zeros(len(features), dtype=torch.float64, device=features.device)
    for start in range(0, n_units, BLOCK):
        block = features[:, start : start + BLOCK] - centre
        sums += block.sum(dim=1)
        total += block @ block.T
    missed = sums / n_units
    total -= n_units * torch.outer(missed, missed)
    return LayerKernel(total.cpu().numpy(), (centre[:, 0] + missed).cpu().numpy(), n_units)
