"""A domain: bright bars on a dark ground, upright or lying, in noise."""

from __future__ import annotations

import numpy as np

from murine.domains.catalogue import DataFolders, DomainSource
from murine.domains.raw_images import RawDomain

N_TRAIN, N_TEST, SIZE = 400, 100, 28


def _read(folders: DataFolders) -> RawDomain:
    rng = np.random.default_rng(0)
    n = N_TRAIN + N_TEST
    labels = rng.integers(2, size=n)
    images = rng.uniform(0, 0.3, (n, SIZE, SIZE))
    for image, label, start in zip(images, labels, rng.integers(4, SIZE - 8, size=n), strict=True):
        bar = image if label else image.T
        bar[start : start + 4, 4:-4] += 0.7
    parts = np.repeat(["train", "test"], [N_TRAIN, N_TEST])
    return RawDomain(images, labels, parts, np.full(n, ""), ("upright", "lying"), (("murine_example.bars", "0.1.0"),))


bars = DomainSource(_read, "bright bars, upright or lying", "made", N_TRAIN, N_TEST, "BSD-3-Clause")
