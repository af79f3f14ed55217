"""Flags of outputs that are no function of the image: a network is shown a few images twice to find them.

The same passes find which axis of each output holds the images, and whether its rows follow the images.

Three images pass, then two of them at other positions and without the third. Features that are a function of the image
are equal in both passes. For the others, further passes find the reason.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from murine.errors import some
from murine.networks.capture.forward import ForwardPass, Subject
from murine.networks.capture.layout import (
    Layout,
    axes_of_images,
    difference,
    find_layout,
    rows_of,
    same_rows_elsewhere,
)
from murine.networks.capture.naming import OUTPUT
from murine.networks.capture.outputs import working_bytes
from murine.networks.capture.state import SEED, own_random_numbers, random_state, start_random_numbers
from murine.networks.layer_flags import CHANGES, DEPENDS, NO_AXIS, ORDER, RANDOM

log = logging.getLogger(__name__)

#: Number of images in the first pass, and which of them are in the second: positions where reversed rows do not fit.
_N, _SECOND = 3, (1, 0)

#: The second pass has another seed.
_SECOND_SEED = SEED + 1

#: Number of further passes with other seeds, if a network draws random numbers.
_DRAWS = 32

#: Largest relative difference of features in two passes of the same images. There is no rounding in it, except on
#: devices that add in varying order.
_REPEATED = 1e-5

#: Explanations of the flags in messages.
_WORDS = {
    DEPENDS: "depend on the other images of the batch (batch statistics without running ones, for example)",
    RANDOM: "are random, other numbers in every pass (dropout or masking in the forward function, for example)",
    CHANGES: "change from pass to pass (a state that is not reset, or a random generator of the network's own)",
    ORDER: "have rows that are not in the order of the images",
}


@dataclass
class Probed:
    """The result of a probe.

    Attributes
    ----------
    layouts, shapes
        Layout and shape of each output, in the order of execution.
    bytes_per_image
        Bytes of each output for one image.
    working_bytes
        Memory that the largest module needs while it runs, for one image.
    """

    layouts: dict[str, Layout] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bytes_per_image: dict[str, int] = field(default_factory=dict)
    working_bytes: int = 0


def probe(subject: Subject, images: Tensor) -> Probed:
    """Find the layout of each output of a network, and warn about outputs that are not a function of the image.

    Parameters
    ----------
    subject
        The network.
    images
        All images; a few different ones are shown.
    """
    few = images[torch.as_tensor(distinct(images, _N))]
    first = _Probe(subject)
    first.explores = True
    first.run(few.clone())
    if subject.naming.settle():
        first = _Probe(subject)
        first.run(few.clone())
        subject.naming.settle()
    draws = random_state(images.device) != _fresh_random_state(images.device)
    second = _Probe(subject, first)
    second.run(few[list(_SECOND)].clone(), _SECOND_SEED)
    found = _judged(first, second)
    doubtful = [key for key, layout in found.layouts.items() if layout.flag == DEPENDS]
    if doubtful or draws:
        _explain(subject, few, first, second, found, draws)
    _tell(subject, found, first)
    return found


def distinct(images: Tensor, n: int) -> list[int]:
    """Return the positions of n images that differ: each is far from those before it."""
    flat = images.flatten(1)
    flat = torch.nan_to_num(flat[:, :: max(1, flat.shape[1] // 512)].float())
    chosen = [0]
    for _ in range(1, n):
        nearest = torch.cdist(flat, flat[chosen]).amin(dim=1)
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()) if len(chosen) < len(images) else chosen[-1])
    return chosen


class _Probe(ForwardPass):
    """A pass that keeps some units of every output, along every axis that may hold images.

    ``earlier`` is a pass with another number of images, which shows the axes that hold images.
    """

    def __init__(self, subject: Subject, earlier: _Probe | None = None) -> None:
        super().__init__(subject)
        self.earlier = earlier
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.rows: dict[str, dict[int, np.ndarray]] = {}
        self.precisions: dict[str, float] = {}
        self.bytes_per_image: dict[str, int] = {}
        self.peak_bytes = 0
        self._precision = 0.0

    def take(self, key: str, args: tuple[object, ...], tensor: Tensor) -> None:
        self.peak_bytes = max(self.peak_bytes, working_bytes(args, tensor))
        self.bytes_per_image[key] = tensor.numel() * max(tensor.element_size(), 4) // self.n
        if tensor.is_floating_point():
            self._precision = max(self._precision, torch.finfo(tensor.dtype).eps)
        self.precisions[key] = self._precision or torch.finfo(torch.float32).eps
        if tensor.is_nested:
            self.shapes[key] = ()
            return
        self.shapes[key] = shape = tuple(tensor.shape)
        if self.earlier is None:
            axes = [axis for axis, size in enumerate(shape) if size and size % self.n == 0]
        elif self.earlier.earlier is None:
            axes = axes_of_images(shape, self.n, self.earlier.shapes.get(key, ()), self.earlier.n)
        else:
            axes = list(self.earlier.rows.get(key, ()))
        self.rows[key] = {axis: rows_of(tensor, axis, self.n) for axis in axes if shape[axis] % self.n == 0}


def _judged(first: _Probe, second: _Probe) -> Probed:
    found = Probed(working_bytes=first.peak_bytes // first.n)
    places = (list(_SECOND), list(range(len(_SECOND))))
    for key, shape in first.shapes.items():
        found.shapes[key] = shape
        found.bytes_per_image[key] = first.bytes_per_image[key]
        axes = axes_of_images(shape, first.n, second.shapes.get(key, ()), second.n)
        if not axes:
            found.layouts[key] = Layout(flag=NO_AXIS)
            continue
        layout = None
        for axis in axes:
            one, two = first.rows[key].get(axis), second.rows[key].get(axis)
            if layout is None and one is not None and two is not None:
                precision = max(first.precisions[key], second.precisions[key])
                layout = find_layout(axis, one, two, (first.n, second.n), places, precision)
        found.layouts[key] = layout or Layout(axes[0], after=shape[axes[0]] // first.n, flag=DEPENDS)
    return found


def _explain(subject: Subject, few: Tensor, first: _Probe, second: _Probe, found: Probed, draws: bool) -> None:
    """Repeat the second pass with the same seed and with others, and return why rows differ."""
    changing, random = set(), set()
    for seed in range(_SECOND_SEED, _SECOND_SEED + (_DRAWS if draws else 1)):
        again = _Probe(subject, second)
        again.run(few[list(_SECOND)].clone(), seed)
        differing = {key for key in second.shapes if _differs(second, again, key)}
        if seed == _SECOND_SEED:
            changing = differing
        random |= differing
    for key, layout in found.layouts.items():
        if layout.flag == NO_AXIS:
            continue
        if key in changing:
            found.layouts[key] = replace(layout, flag=CHANGES)
        elif key in random:
            found.layouts[key] = replace(layout, flag=RANDOM)
        elif layout.flag and any(
            same_rows_elsewhere(first.rows[key][axis], rows, first.precisions[key])
            for axis, rows in second.rows[key].items()
            if axis in first.rows[key]
        ):
            found.layouts[key] = Layout(flag=ORDER)


def _differs(one: _Probe, two: _Probe, key: str) -> bool:
    if one.shapes.get(key) != two.shapes.get(key):
        return True
    return any(difference(rows, two.rows[key][axis]) > _REPEATED for axis, rows in one.rows[key].items())


def _fresh_random_state(device: torch.device) -> tuple[object, ...]:
    with own_random_numbers(device):
        start_random_numbers(SEED)
        return random_state(device)


def _tell(subject: Subject, found: Probed, first: _Probe) -> None:
    """Warn once about outputs that have no scores because of how the network works."""
    for flag, words in _WORDS.items():
        layers = [key for key, layout in found.layouts.items() if layout.flag == flag]
        if layers:
            log.warning("no scores for outputs that %s: %s.", words, some(layers))
    if subject.keeps_state:
        log.info("the network keeps a state between passes; the state is restored before each pass.")
    if first.unknown:
        texts = [f"{name} ({', '.join(dict.fromkeys(types))})" for name, types in first.unknown.items()]
        log.warning("outputs that cannot be looked into for features have no rows: %s.", some(texts))
    scripts = [n for n, m in subject.naming.modules.items() if isinstance(m, torch.jit.ScriptModule)]
    if scripts:
        log.warning(
            "TorchScript (torch.jit.script or trace) does not run as modules: only the output of %s can be captured, "
            "not the layers within.",
            "the network" if OUTPUT in scripts else some(scripts),
        )
