"""How much the preparation of images decides: a small network trained on MNIST meets digits prepared in four ways.

Run: python examples/preparations.py

Two convolutions, the first 10,000 training images, four epochs, three seeds; printed is the accuracy (%) on test parts
in the mean over seeds. Only what is done to the images differs. About a minute on one core.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from murine.domains.catalogue import load_domain
from murine.domains.domain import Domain
from murine.domains.preparation import Preparation

TARGETS = ("mnist", "usps", "semeion", "fonts")
PREPARATIONS = (
    Preparation(),
    Preparation(fit="place"),
    Preparation(framing="mnist"),
    Preparation(framing="mnist", polarity="white-on-black"),
)
SEEDS, EPOCHS, BATCH = 3, 4, 64


def tensors(domain: Domain) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(domain.images[..., :1]).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(domain.labels)


def trained(images: torch.Tensor, labels: torch.Tensor, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    first = [nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    network = nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(400, 100), nn.ReLU(), nn.Linear(100, 10))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(EPOCHS):
        for batch in torch.split(torch.randperm(len(labels)), BATCH):
            optimiser.zero_grad()
            torch.autograd.backward([nn.functional.cross_entropy(network(images[batch]), labels[batch])])
            optimiser.step()
    return network


@torch.no_grad()
def accuracy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    return 100 * float((network(images).argmax(dim=1) == labels).float().mean())


def main() -> None:
    print(f"{'':45}" + "".join(f"{name:>9}" for name in TARGETS))
    for preparation in PREPARATIONS:
        source = load_domain("mnist", preparation=preparation, part="train").subset(np.arange(10_000))
        targets = [tensors(load_domain(name, preparation=preparation, part="test")) for name in TARGETS]
        networks = [trained(*tensors(source), seed) for seed in range(SEEDS)]
        means = [np.mean([accuracy(network, *target) for network in networks]) for target in targets]
        asked = ", ".join(f"{key}={value}" for key, value in preparation.model_dump(exclude_defaults=True).items())
        print(f"{asked or 'default':45}" + "".join(f"{mean:9.1f}" for mean in means), flush=True)


if __name__ == "__main__":
    main()
