"""Networks of torchvision, with weights from PyTorch's server, a seed or a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from torch import nn

from murine.errors import MurineError, nearest, reason_of
from murine.networks.sources import weight_downloads
from murine.networks.sources.source import IMAGENET_CONFIG, NetworkSource


class TorchvisionSource(NetworkSource):
    """The networks of torchvision that take images: classification and semantic segmentation.

    Networks that take video clips, pairs of images or lists of images (detection), and quantised ones, are left out.
    """

    about = "Networks of torchvision for classification and segmentation."
    citation = "TorchVision maintainers and contributors 2016, https://github.com/pytorch/vision"
    licence = "BSD-3-Clause (code); the weights have licences of their own"

    def architectures(self) -> tuple[str, ...]:
        return _architectures()

    def unknown(self, name: str) -> MurineError:
        architecture, known = name.partition(".")[0], self.architectures()
        return MurineError(
            f"torchvision has no network {architecture!r} that takes images"
            f"{nearest(architecture, known) or '.'} `murine models 'torchvision:*'` lists the {len(known)}."
        )

    def tagged_names(self, architecture: str) -> list[str]:
        import torchvision.models as models

        return [f"{self.full_name(architecture)}.{member.name}" for member in models.get_model_weights(architecture)]

    def create(self, architecture: str, tag: str, input_size: tuple[int, int] | None) -> nn.Module:
        return self._create(architecture, tag, input_size)[0]

    def create_trained(
        self, architecture: str, tag: str, input_size: tuple[int, int] | None, digest: str = ""
    ) -> tuple[nn.Module, str]:
        module, member, rebuild = self._create(architecture, tag, input_size)
        name = self.full_name(f"{architecture}.{tag}" if tag else architecture)
        if member is None:
            raise MurineError(
                f"torchvision has no pretrained weights for {name!r}; use {name}@random:SEED or {name}@FILE."
            )
        weight_downloads.fetch_weights(name, member.url, digest or weight_downloads.digest_in_name(member.url))
        trained = rebuild(weights=member, progress=False)  # finds the file in the cache
        trained.pretrained_cfg = module.pretrained_cfg
        return trained, f"pretrained:{member.name}"

    def facts(self, architecture: str, tag: str) -> dict[str, Any]:
        import torchvision.models as models

        tags = models.get_model_weights(architecture).__members__
        member = tags.get(tag or "DEFAULT")
        size = tuple(preprocessing_of(member)["input_size"][1:])
        facts: dict[str, Any] = {"input_size": size, "origin": "the rest: torchvision's weights"}
        if member is None:
            return facts
        facts["weights"] = member.name
        if member.name.startswith("IMAGENET1K"):
            facts |= {"task": "classification", "data": "in1k"}
            facts["top1"] = member.meta.get("_metrics", {}).get("ImageNet-1K", {}).get("acc@1")
        elif member.name.startswith("COCO"):
            facts |= {"task": "segmentation", "data": "coco"}
        return facts

    def _create(
        self, architecture: str, tag: str, size: tuple[int, int] | None
    ) -> tuple[nn.Module, Any, Callable[..., nn.Module]]:
        """Return the network with random weights, the entry of its pretrained weights (or None), and its builder."""
        import torchvision.models as models

        name = self.full_name(f"{architecture}.{tag}" if tag else architecture)
        enumeration = models.get_model_weights(architecture)
        tags = enumeration.__members__
        if tag and tag not in tags:
            raise MurineError(
                f"torchvision's {architecture} has no weights {tag!r}{nearest(tag, tags) or '.'} Known: "
                f"{', '.join(tags) or 'none'}."
            )
        member = tags.get(tag or "DEFAULT")
        config = preprocessing_of(member)
        builder = models.get_model_builder(architecture)
        options: dict[str, Any] = {}
        if "weights_backbone" in inspect.signature(builder).parameters:
            options["weights_backbone"] = None
        height, width = size or config["input_size"][1:]
        if architecture.startswith("vit_"):
            if height != width:
                raise MurineError(f"{name} takes square images only, not {height} x {width}.")
            options["image_size"] = height
        if architecture.startswith("maxvit_"):
            options["input_size"] = (height, width)
        if architecture in ("googlenet", "inception_v3"):
            options["transform_input"] = True  # as for the published weights

        def rebuild(**given: Any) -> nn.Module:
            try:
                module: nn.Module = builder(**options, **given)
            except (AssertionError, ValueError) as error:
                raise MurineError(
                    f"{name} cannot be built for images of {height} x {width} px: {reason_of(error).rstrip('.')}."
                ) from error
            return module

        drawn = {"init_weights": True} if "transform_input" in options else {}  # unsaid, torchvision warns
        module = rebuild(weights=None, **drawn)
        module.pretrained_cfg = config  # type: ignore[assignment]
        return module, member, rebuild


@cache
def _architectures() -> tuple[str, ...]:
    import torchvision.models as models

    names: list[str] = [*models.list_models(module=models), *models.list_models(module=models.segmentation)]
    return tuple(names)


def preprocessing_of(member: Any) -> dict[str, Any]:
    """Return the preprocessing of weights of torchvision with timm's keys; the usual one of ImageNet for None."""
    if member is None:
        return IMAGENET_CONFIG
    transforms = member.transforms()
    crop = getattr(transforms, "crop_size", None) or getattr(transforms, "resize_size", None) or [224]
    sides = (crop[0], crop[-1])
    return {
        "input_size": (3, *sides),
        "mean": tuple(transforms.mean),
        "std": tuple(transforms.std),
        "interpolation": transforms.interpolation.value,
    }
