"""Numbers that Conwell et al. 2021 state of their data and method, beside ours."""

from __future__ import annotations

from collections.abc import Iterator

import murine
from murine.encoding.ridge_spectrum import N_PROJECTED
from murine.literature import CONWELL, published_numbers
from murine.networks.catalogue import entry
from murine.networks.distinct_layers import count_distinct_layers
from murine.studies.claim import Claim

#: Networks whose layers are counted, at each scale.
_FEW = ("resnet18", "mobilenet_v2", "googlenet")
_MORE = (*_FEW, "alexnet", "vgg16", "vgg19", "resnet50", "resnet152", "densenet121", "densenet201")
COUNTED = {"tiny": _FEW, "small": _MORE, "full": _MORE}


def matrix_numbers(dataset: murine.Dataset) -> Iterator[Claim]:
    """Numbers of the published matrices, which come without single neurons."""
    if isinstance(dataset.responses, murine.NeuralRDMs):
        n_sites = float(len(dataset.responses.sites))
        yield from Claim.of_numbers(CONWELL.key, "sites", {"all areas": n_sites}, 0, where=dataset.name)
        found = dataset.responses.correlations()
        told = "Published of 119 conditions; ours without the blank screen."
        kind = "correlation of two sites' matrices"
        yield from Claim.of_numbers(CONWELL.key, kind, found, 0.01, where=dataset.name, what=told)


def method_numbers(scale: str) -> Iterator[Claim]:
    """Numbers of the method: columns of the projection, layers with an output of their own, and published errors."""
    columns_of = {"119 images": float(N_PROJECTED)}
    yield from Claim.of_numbers(CONWELL.key, "random projection columns", columns_of, 0)
    counts = {
        name: float(count_distinct_layers(murine.load_network(f"torchvision:{name}@random:0", input_size=224)))
        for name in COUNTED[scale]
    }
    yield from Claim.of_numbers(CONWELL.key, "tapped layers", counts, 0, what="Random weights, four random images.")
    errors = published_numbers(CONWELL.key, "ImageNet top-1 error")["item"]
    facts = {name: entry(f"torchvision:{name}.IMAGENET1K_V1").top1 for name in errors}
    known = {name: 100 - top1 for name, top1 in facts.items() if top1}
    told = "Ours is what torchvision states for the first weights."
    yield from Claim.of_numbers(CONWELL.key, "ImageNet top-1 error", known, 0.05, what=told)
