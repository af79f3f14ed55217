"""Run images through a network and reduce the output of every module to a kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from murine.errors import MurineError, some
from murine.networks.capture.forward import Subject
from murine.networks.capture.grouping import Merged, affordable_images, bundles, covering, image_groups, pairs_of
from murine.networks.capture.layers import CapturedLayer, Features, Reducer
from murine.networks.capture.naming import Naming
from murine.networks.capture.probing import Probed, probe
from murine.networks.capture.reducing import Gathering, Reduction
from murine.networks.capture.standardising import Moments, moments_of, standardised_kernel
from murine.networks.capture.state import InitialState, prepared, undisturbed
from murine.networks.layer_kernel import LayerKernel
from murine.networks.wrappers import unwrapped
from murine.progress import Progress, Silent

log = logging.getLogger(__name__)


def capture(
    module: nn.Module,
    inputs: Tensor,
    *,
    layers: str = "all",
    batch_size: int | None = None,
    progress: Progress | None = None,
    reducer: Reducer | None = None,
    standardise: bool = False,
    windows: str = "none",
) -> list[CapturedLayer]:
    """Run images through a network and reduce the output of every module to its kernel.

    The kernel is computed inside the forward hook, before the network can change the features in place. Then the
    features are dropped, so they use neither memory nor disk. On Linux, a `murine.networks.memory.freed_memory_kept`
    block around this call saves a quarter of the time.

    A few images are shown first. An output gets a flag, and a warning is logged, if it is not a function of the image
    (batch statistics, random numbers, a state between passes) or if its rows cannot be assigned to images.

    Parameters
    ----------
    module
        Any network that accepts ``inputs``. It is put into evaluation mode during the capture. If it is wrapped by
        `torch.compile` or `torch.nn.DataParallel`, the network inside is used. Every pass starts from the same state
        and random seed.
    inputs
        Preprocessed images (n_stimuli, channels, height, width) on the device of the module. They are converted to the
        type of the network's weights.
    layers
        ``all`` modules; ``own``: all modules but inserted layers (`murine.networks.surgery`); ``blocks``: top-level
        modules and the composite members of sequences (residual blocks, transformer blocks); or names with wildcards,
        separated by commas.
    batch_size
        Number of images that pass together, at least 2. By default all, or as many as half of the available memory
        allows. A kernel needs every pair of images together, so a smaller number makes several passes over pairs of
        groups: slower, with the same numbers up to float32 rounding.
    reducer
        A function for analyses of single units. It is called with the `Features` of every output for all images, and
        its result becomes `CapturedLayer.reduced`. It is not called again for an output that is the tensor of an
        earlier one. If images pass in groups, the features of as many layers as fit into a quarter of the available
        memory are collected from all groups, in further passes. Exceptions of the reducer are passed on.
    standardise
        Whether to compute also the kernel of every layer with its units standardised over images
        (`CapturedLayer.standardised`). If images pass in groups, this takes one more pass over them.
    windows
        ``thirds``: windows of a half and of a third of each map, at 3 x 3 places, follow their layer
        (`CapturedLayer.window`), from the same pass; a neuron sees one place, and a layer all of them. ``none``.

    Returns
    -------
    layers
        One `CapturedLayer` for each output of each module, in the order of execution.

    Raises
    ------
    MurineError
        If no module matches, the network fails on the images, memory does not suffice for all images or for the
        features of one layer, or windows of standardised units are asked for while images pass in groups.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    >>> found = capture(network, torch.rand(5, 3, 8, 8))
    >>> [(layer.name, layer.shape) for layer in found]
    [('0', (4, 6, 6)), ('1', (4, 6, 6)), ('(output)', (4, 6, 6))]
    >>> found[1].kernel.covariance.shape
    (5, 5)
    """
    if batch_size is not None and batch_size < 2:
        raise MurineError(f"batch size is {batch_size}; at least 2 images must pass together.")
    if windows not in ("none", "thirds"):
        raise MurineError(f"windows is {windows!r}; expected 'none' or 'thirds'.")
    network = unwrapped(module)
    naming = Naming(network, layers)
    with undisturbed(inputs.device), prepared(network, inputs) as images:
        subject = Subject(network, naming, InitialState(network))
        probed = probe(subject, images)
        if not probed.layouts:
            raise MurineError(f"none of the modules {some(naming.chosen)} ran in the forward pass.")
        kept = windows == "thirds"
        captured = _captured(subject, probed, images, batch_size, progress, reducer, standardise, kept)
    return [layer for one in captured for layer in (one, *_aliases(one, naming))]


def _captured(
    subject: Subject,
    probed: Probed,
    images: Tensor,
    batch_size: int | None,
    progress: Progress | None,
    reducer: Reducer | None,
    standardise: bool,
    windows: bool,
) -> list[CapturedLayer]:
    n, names = len(images), list(probed.layouts)
    size = batch_size or affordable_images(probed.working_bytes, n, images.device)
    groups = image_groups(n, size)
    passes = pairs_of(groups)
    if windows and standardise and len(passes) > 1:
        raise MurineError(
            "windows of standardised units need all images in one pass, and memory does not suffice for it. Leave out "
            "windows or standardisation, or choose a smaller input size."
        )
    if len(passes) > 1:
        log.info("%d images in %d passes of at most %d", n, len(passes), 2 * len(groups[0]))
    together = bundles(probed.bytes_per_image, n, images.device) if reducer and len(passes) > 1 else []
    sweep = covering(groups)
    n_passes = len(passes) + len(together) * len(sweep)
    with (progress or Silent()).task("capturing layers", n_passes * len(names)) as bar:
        merged = Merged(n, names)
        moments = moments_of(subject, probed, images, groups) if standardise and len(passes) > 1 else {}
        for members in passes:
            whole = len(members) == n
            second = _second(merged.space(len(members)), moments) if standardise else None
            space = merged.space(len(members))
            reduction = Reduction(subject, probed, bar.advance, space, reducer if whole else None, second, windows)
            # The network may change its input. All images together are not needed again; a part of them is a copy.
            reduction.run(images if whole else images[torch.as_tensor(members)])
            merged.add(members, reduction.found)
        captured = merged.layers()
        if reducer is None or not together:
            return captured
        reduced: dict[str, Any] = {}
        usable = {name for name, layout in probed.layouts.items() if not layout.flag}
        wanted = {layer.name for layer in captured if layer.kernel is not None and not layer.same_as} & usable
        for bundle in together:
            gathered = {name: torch.empty(0) for name in bundle if name in wanted}
            for members in sweep:
                Gathering(subject, probed, members, gathered, n, bar.advance).run(images[torch.as_tensor(members)])
            for name in list(gathered):
                reduced[name] = reducer(Features(name, gathered.pop(name), tuple(images.shape[2:])))
    return [replace(layer, reduced=reduced.get(layer.same_as or layer.name)) for layer in captured]


def _second(space: Mapping[str, np.ndarray], moments: Mapping[str, Moments]) -> Callable[[str, Tensor], LayerKernel]:
    return lambda key, features: standardised_kernel(features, space.get(key), moments.get(key))


def _aliases(layer: CapturedLayer, naming: Naming) -> list[CapturedLayer]:
    """Return the layer under the other names of its module that were asked for."""
    found = []
    for alias, name in naming.aliases.items():
        if layer.name == name or layer.name.startswith((f"{name}[", f"{name}:", f"{name}@")):
            found.append(replace(layer, name=alias + layer.name[len(name) :], same_as=layer.same_as or layer.name))
    return found
