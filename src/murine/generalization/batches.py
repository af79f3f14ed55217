"""Batches of images on a device, and the seeds of everything that is drawn in training.

A source is small enough to stay on the device as uint8. Batches are selected there by index and converted to floating
point. Every epoch draws its order and augmentations from its own generators, so an interrupted training continues
exactly as without interruption.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from murine.domains.domain import Domain

#: Images that pass together in evaluation: few enough that their maps fit into the processor's cache.
EVALUATION_BATCH = 128

#: An augmentation: from images (n, 3, side, side) and a generator to images of the same shape.
Augment = Callable[[Tensor, torch.Generator], Tensor]


class Batches:
    """Batches of a domain on a device: float32 images (n, 3, side, side) in [0, 1], and labels (n,).

    Parameters
    ----------
    domain
        The images and labels.
    batch_size
        Images in a batch.
    device
        Device that holds the images.
    seed
        For training: the images come in a new order every epoch (`epoch` sets it), and the last ones that do not fill a
        batch are left out. None, for evaluation: all images, in their order.
    augment
        Changes the images of every batch.
    """

    def __init__(
        self,
        domain: Domain,
        batch_size: int,
        device: torch.device,
        *,
        seed: int | None = None,
        augment: Augment | None = None,
    ) -> None:
        self.images = torch.from_numpy(domain.images).permute(0, 3, 1, 2).contiguous().to(device)
        self.labels = torch.from_numpy(domain.labels).to(device)
        self.batch_size = min(batch_size, domain.n_images) if seed is not None else batch_size
        self.seed, self.augment, self.device = seed, augment, device
        self.epoch = 0

    def __len__(self) -> int:
        n = len(self.labels)
        return n // self.batch_size if self.seed is not None else math.ceil(n / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.labels)
        order = None
        draws = torch.Generator(self.device)
        if self.seed is not None:
            # Drawn on the CPU, so that the order is the same on every device.
            order = torch.randperm(n, generator=generator_from(self.seed, 2, self.epoch)).to(self.device)
            draws.manual_seed(combined_seed(self.seed, 3, self.epoch))
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            stop = start + self.batch_size
            if order is None:
                images, labels = self.images[start:stop], self.labels[start:stop]
            else:
                index = order[start:stop]
                images, labels = self.images[index], self.labels[index]
            pixels = images.float() / 255
            yield pixels if self.augment is None else self.augment(pixels, draws), labels


def combined_seed(*numbers: int) -> int:
    """Return one seed from several numbers. Different numbers give independent draws.

    Examples
    --------
    >>> combined_seed(0, 1) == combined_seed(0, 1), combined_seed(0, 1) == combined_seed(1, 0)
    (True, False)
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def generator_from(*numbers: int) -> torch.Generator:
    """Return a generator on the CPU with the seed `combined_seed` of the numbers."""
    return torch.Generator().manual_seed(combined_seed(*numbers))
