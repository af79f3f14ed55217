"""Bars that lie or stand, in domains that differ by ground and noise: learned in a few epochs of a tiny network.

Run as a script it trains a small matrix and stops dead in the middle, for the test that kills it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from counting import Counting

from murine.domains.domain import Domain, Identity
from murine.domains.preparation import Preparation

#: A network and a recipe that learn them.
NETWORK = "conv(depth=2,width=8)"
CLASSES = ("lying", "standing", "slanted")


def bars(
    name: str, n: int = 240, *, seed: int = 0, ground: float = 0.0, noise: float = 0.05, n_groups: int = 0
) -> Domain:
    """Three kinds of bars; the last third is the test part."""
    rng = np.random.default_rng([*name.encode()])
    labels = rng.permutation(np.arange(n) % 3)
    y, x = np.indices((32, 32)) - 15.5
    along = np.stack([y, x, (x + y) / np.sqrt(2)])[labels]
    ink = np.exp(-0.5 * ((along + rng.uniform(-6, 6, (n, 1, 1))) / 2.5) ** 2)
    levels = ground + (1 - 2 * ground) * ink + noise * rng.standard_normal((n, 32, 32))
    images = np.repeat(np.rint(255 * levels.clip(0, 1)).astype(np.uint8)[..., None], 3, axis=3)
    parts = np.where(np.arange(n) < n - n // 3, "train", "test")
    groups = np.array([f"{part}{i % n_groups}" if n_groups else "" for i, part in enumerate(parts)])
    return Domain(
        name=name,
        images=images,
        labels=labels.astype(np.int64),
        parts=parts,
        groups=groups,
        positions=np.arange(n, dtype=np.int64),
        classes=CLASSES,
        identity=Identity(name=name, sources=((name, f"{n} {ground} {noise} {n_groups}"),), preparation=Preparation()),
    )


def load(name: str, part: str | None) -> Domain:
    """Domains by name, as the protocol wants them."""
    kinds = {"dark": bars("dark"), "grey": bars("grey", ground=0.3), "noisy": bars("noisy", noise=0.3)}
    return kinds[name] if part is None else kinds[name].part(part)


def stops_dead(after: int, marker: Path) -> Counting:
    """Progress that hangs after so many epochs, like a machine about to lose its power."""

    def hang(done: int) -> None:
        if done == after:
            marker.touch()
            time.sleep(600)

    return Counting("epochs", hang)


def small_matrix(folder: Path, progress: object = None):
    """Two variants of a network, four epochs each."""
    from murine.atlas.store import Atlas
    from murine.generalization import matrix
    from murine.generalization.protocol import settings
    from murine.generalization.recipe import Recipe
    from murine.generalization.results import Results

    found = settings("full", ["dark"], ["grey", "noisy"], load)
    recipe = Recipe(epochs=4, batch_size=8, learning_rate=0.01)
    runs = matrix.plan(found, [NETWORK], ["plain", "augmix"], recipe, matrix.seed_pairs(1))
    return matrix.compute(runs, Results(Atlas(folder)), progress=progress)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    small_matrix(Path(sys.argv[1]), stops_dead(6, Path(sys.argv[2])))
