"""Candidates of a network: its layers and windows of their maps, compared with every animal in the forward hook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from murine.errors import MurineError
from murine.masquerade.animals import PARTS, AnimalArrays, part_slices
from murine.networks.capture import Features, capture, channel_maps
from murine.networks.capture.windows import MapWindow, map_windows
from murine.networks.memory import freed_memory_kept
from murine.networks.network import Network
from murine.networks.process_state import preserved_state
from murine.progress import Progress
from murine.similarity.population_kernels import PopulationKernel, noiseless_kernel, unbiased_cka_matrix
from murine.stimuli import StimulusSet

#: Windows of maps: none, or a half and a third of the side at 3 x 3 places.
Windows = Literal["none", "thirds"]

#: Draws the positions of some of so many units of a layer and window.
Drawn = Callable[[int, str, str], np.ndarray]

#: Units of a layer or window that are drawn where there are more.
MOST_UNITS = 1500

#: Fewer units that vary over stimuli make no candidate.
FEWEST_UNITS = 30


@dataclass(frozen=True, eq=False, repr=False)
class Candidates:
    """Candidates of one network and their similarity with every array of the animals.

    Attributes
    ----------
    layers, windows
        Layer of each candidate, and window of its map ('' for all of the layer).
    n_units
        Number of different units that each was compared by.
    similarities
        (n_parts, n_candidates, n_arrays) for each part of the stimuli (`murine.masquerade.animals.PARTS`), or for all
        stimuli alone.
    shuffled
        (n_candidates, n_arrays) the same over all stimuli, with the stimuli of the network in a random order.
    """

    layers: tuple[str, ...]
    windows: tuple[str, ...]
    n_units: tuple[int, ...]
    similarities: Float[np.ndarray, "n_parts n_candidates n_arrays"]
    shuffled: Float[np.ndarray, "n_candidates n_arrays"]

    def __repr__(self) -> str:
        n_windows = sum(map(bool, self.windows))
        return f"<Candidates: {len(self.layers) - n_windows} layers and {n_windows} windows>"

    def only(self, windows: Windows) -> Candidates:
        """Return the candidates without windows, or all of them."""
        keep = [i for i, window in enumerate(self.windows) if windows == "thirds" or not window]
        return Candidates(
            tuple(self.layers[i] for i in keep),
            tuple(self.windows[i] for i in keep),
            tuple(self.n_units[i] for i in keep),
            self.similarities[:, keep],
            self.shuffled[keep],
        )


@dataclass(frozen=True, eq=False)
class AnimalReducer:
    """Compares the features of a layer, and windows of its map, with every animal: a reducer of `capture`.

    Attributes
    ----------
    animals
        The arrays that are compared with.
    windows
        Whether windows are candidates, too.
    seed
        Draws the units of layers that have many, the same for equal names and shapes, and the order of shuffled
        stimuli.
    n_parts
        For how many parts of the stimuli (`murine.masquerade.animals.PARTS`); 1 for all stimuli alone.
    """

    animals: AnimalArrays
    windows: Windows = "thirds"
    seed: int = 0
    n_parts: int = len(PARTS)

    def __call__(self, features: Features) -> list[tuple[str, int, np.ndarray, np.ndarray]]:
        """Return window, number of units, similarities (parts x arrays) and those of shuffled stimuli."""
        n_stimuli = len(features.tensor)
        order = np.random.default_rng([self.seed, *b"shuffled"]).permutation(n_stimuli)
        slices = part_slices(n_stimuli)[: self.n_parts]
        found: list[tuple[str, list[PopulationKernel]]] = []
        for window, patterns in self.patterns(features):
            kernels = _part_kernels(patterns, slices)
            if kernels is not None:
                found.append((window, kernels))
        if not found:
            return []
        similarities = [
            unbiased_cka_matrix([kernels[part] for _, kernels in found], self.animals.kernels[part])
            for part in range(self.n_parts)
        ]
        shuffled = unbiased_cka_matrix([_shuffled(kernels[0], order) for _, kernels in found], self.animals.kernels[0])
        parts = np.stack(similarities, axis=1)
        return [(window, k[0].n_units, parts[i], shuffled[i]) for i, (window, k) in enumerate(found)]

    def patterns(self, features: Features) -> Iterator[tuple[str, Float[np.ndarray, "n_units n_stimuli"]]]:
        """Yield each candidate of a layer: its window and its units, drawn where there are many."""
        yield "", features.units(self._drawn(features.n_units, features.name, "")).T
        maps = channel_maps(features) if self.windows == "thirds" else None
        if maps is not None:
            for window in map_windows(*maps.shape[2:]):
                yield window.name, _of_window(maps, window, self._drawn, features.name)

    def _drawn(self, n_units: int, layer: str, window: str) -> np.ndarray:
        """Draw positions of units, all if there are few."""
        if n_units <= MOST_UNITS:
            return np.arange(n_units)
        rng = np.random.default_rng([self.seed, crc32(layer.encode()), crc32(window.encode())])
        return np.sort(rng.choice(n_units, MOST_UNITS, replace=False))


def _of_window(maps: Tensor, window: MapWindow, drawn: Drawn, layer: str) -> Float[np.ndarray, "n_units n_stimuli"]:
    shape = maps.shape[1], window.rows[1] - window.rows[0], window.columns[1] - window.columns[0]
    which = drawn(int(np.prod(shape)), layer, window.name)
    channel, row, column = np.unravel_index(which, shape)
    places = (channel, row + window.rows[0], column + window.columns[0])
    index: Any = (slice(None), *(torch.as_tensor(place, device=maps.device) for place in places))
    return maps[index].double().cpu().numpy().T


def _part_kernels(
    patterns: Float[np.ndarray, "n_units n_stimuli"], slices: Sequence[slice]
) -> list[PopulationKernel] | None:
    """Return the kernel of each part of the stimuli; None if too few units vary over all of them.

    A part over which too few units vary has a kernel without an answer.
    """
    kernels = []
    for part in slices:
        try:
            kernel = noiseless_kernel(patterns[:, part])
        except MurineError:
            kernel = None
        if kernel is None or kernel.n_units < FEWEST_UNITS:
            if part == slices[0]:
                return None
            n = patterns[:, part].shape[1]
            kernel = PopulationKernel(np.zeros((n, n)), float("nan"), float("nan"), 0)
        kernels.append(kernel)
    return kernels


def _shuffled(kernel: PopulationKernel, order: np.ndarray) -> PopulationKernel:
    return PopulationKernel(kernel.kernel[np.ix_(order, order)], kernel.norm, kernel.scatter, kernel.n_units)


def candidates_of(
    network: Network,
    images: StimulusSet,
    animals: AnimalArrays,
    *,
    windows: Windows = "thirds",
    layers: str = "own",
    seed: int = 0,
    n_parts: int = len(PARTS),
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Candidates:
    """Show the images to a network once, and compare its layers and windows with every animal.

    Parameters
    ----------
    network
        The network, on its device.
    images
        In the order of ``animals.stimulus_ids``.
    windows, layers
        Candidates: windows of maps or not; which layers (`murine.networks.capture.capture`). Layers whose output is
        that of an earlier one, and layers that are no function of the image, are no candidates.
    seed, n_parts, batch_size, progress
        As in `AnimalReducer` and `capture`.

    Raises
    ------
    MurineError
        If images and animals do not fit, the network fails, or no layer has 30 units that vary.
    """
    if tuple(images.ids) != animals.stimulus_ids:
        raise MurineError("the images are not those of the recording in the order of their ids.")
    device = next(chain(network.module.parameters(), network.module.buffers()), torch.empty(0)).device
    with preserved_state(network.name), freed_memory_kept():
        shown = network.preprocessing.apply(images).to(device)
        reducer = AnimalReducer(animals, windows, seed, n_parts)
        captured = capture(
            network.module, shown, layers=layers, batch_size=batch_size, progress=progress, reducer=reducer
        )
    rows = [
        (layer.name, *row)
        for layer in captured
        if not layer.same_as and layer.reduced is not None
        for row in layer.reduced
    ]
    if not rows:
        raise MurineError(
            f"no layer of {network.name} ({layers!r}) has {FEWEST_UNITS} units that vary over the images: none can be "
            "compared with animals. A layer of one pixel, or of few channels, is too small; choose other layers."
        )
    names, window_names, n_units, similarities, shuffled = zip(*rows, strict=True)
    return Candidates(names, window_names, n_units, np.stack(similarities, axis=1), np.stack(shuffled))


def pixel_candidates(
    images: StimulusSet, animals: AnimalArrays, input_size: Iterable[int], windows: Windows, seed: int
) -> Candidates:
    """Return the candidates of the pixels of the images, at the size at which a network sees them."""
    from murine.networks import zoo

    height, width = input_size
    network = zoo.load("pixels", input_size=(height, width))
    return candidates_of(network, images, animals, windows=windows, seed=seed, n_parts=1)
