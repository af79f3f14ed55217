"""Training through Lightning against a bare PyTorch loop, and what NeuRN at the input adds to an epoch of ResNet-18.

    python benchmarks/train.py [--images 2560] [--repeats 3] [--network lenet] [--device cpu]

Both train the same network on the same images from the same weights, in turn; the bare loop does nothing else: no
validation, no checkpoint, no record of the loss. Ours validates on a tenth as many images and writes a checkpoint after
each epoch; what that takes is in its time. On a CPU times are of one core, as the process was given it, so that other
work on the machine does not count. Ratios are printed last.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from murine.domains.domain import Domain, Identity
from murine.domains.preparation import Preparation
from murine.generalization.network_builder import build
from murine.generalization.recipe import Recipe
from murine.generalization.training import train
from murine.networks.surgery.neurn import neurn


def noise(n: int) -> Domain:
    """Images of noise: what they show does not change how long they take."""
    rng = np.random.default_rng(0)
    return Domain(
        name="noise",
        images=rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8),
        labels=rng.integers(0, 10, n),
        parts=np.full(n, "train"),
        groups=np.full(n, ""),
        positions=np.arange(n),
        classes=tuple("0123456789"),
        identity=Identity(name="noise", sources=(), preparation=Preparation()),
    )


def bare(network: str, domain: Domain, recipe: Recipe, device: str) -> None:
    """As short as a loop can be that does the same steps."""
    module = build(network, domain.n_classes, seed=0).module.to(device).train()
    optimiser = torch.optim.Adam(module.parameters(), recipe.learning_rate)
    images = torch.from_numpy(domain.images).permute(0, 3, 1, 2).contiguous().to(device)
    labels = torch.from_numpy(domain.labels).to(device)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(labels), device=device)
        for start in range(0, len(labels) - recipe.batch_size + 1, recipe.batch_size):
            index = order[start : start + recipe.batch_size]
            optimiser.zero_grad()
            functional.cross_entropy(module(images[index].float() / 255), labels[index]).backward()
            optimiser.step()


def ours(network: str, domain: Domain, recipe: Recipe, device: str) -> None:
    module = build(network, domain.n_classes, seed=0).module
    validation = domain.subset(np.arange(domain.n_images // 10))
    with tempfile.TemporaryDirectory() as folder:
        train(module, domain, validation, recipe, checkpoint=Path(folder) / "a.checkpoint", device=device)


def seconds(work: Callable[[], None], device: str) -> float:
    """Of the processor on a CPU, of the clock elsewhere."""
    if device == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--network", default="lenet")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = options.device

    domain, recipe = noise(options.images), Recipe(epochs=options.epochs)
    small, once = noise(256), Recipe(epochs=1)
    for loop in (bare, ours):  # imports, threads and caches
        loop(options.network, small, once, device)
    ratios = []
    for _ in range(options.repeats):
        times = [
            seconds(lambda loop=loop: loop(options.network, domain, recipe, device), device) for loop in (bare, ours)
        ]
        ratios.append(times[0] / times[1])
        n = options.epochs * options.images
        print(f"{options.network}: bare {n / times[0]:.0f} images/s, ours {n / times[1]:.0f} images/s", flush=True)

    module = build("resnet18", 10, seed=0).module.to(device).train()
    images = torch.rand(128, 3, 32, 32, device=device)
    labels = torch.zeros(128, dtype=torch.long, device=device)

    def step() -> None:
        module.zero_grad()
        functional.cross_entropy(module(images), labels).backward()

    shares = []
    for k in (3, 4, 5):
        neurn(images, k)
        times = [seconds(lambda k=k: neurn(images, k), device) for _ in range(20)]
        shares.append(statistics.median(times))
    step()
    whole = seconds(step, device)
    for k, share in zip((3, 4, 5), shares, strict=True):
        print(f"NeuRN k={k}: {1000 * share:.1f} ms of a batch of 128, ResNet-18 {1000 * whole:.0f} ms")
    print(f"NeuRN at the input over a step of ResNet-18, k = 3, 4, 5: {', '.join(f'{x / whole:.4f}' for x in shares)}")
    print(f"throughput through Lightning over a bare loop: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
