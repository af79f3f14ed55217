"""Networks from elsewhere than timm: torchvision's, Taskonomy's encoders, and those that their authors publish.

A name with a source, ``torchvision:alexnet``, ``taskonomy:curvature`` or ``hub:cornet_s``, always means that source. A
plain name is timm's if timm has it, else torchvision's."""

from __future__ import annotations

import csv
import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from torch import nn

from murine.errors import MurineError, nearest, reason_of
from murine.networks import addresses, checkpoints, hub, taskonomy

#: Sources that a name may begin with.
SOURCES = ("torchvision", "taskonomy", "hub")


@dataclass(frozen=True)
class Published:
    """A row of ``tables/published.csv``: weights that their authors publish, for an architecture of this package."""

    name: str
    architecture: str
    layout: str
    address: str
    digest: str
    family: str
    cluster: str
    task: str
    data: str
    year: str
    citation: str
    note: str

    def build(self) -> nn.Module:
        """The network with random weights, drawn from torch's global state."""
        module: nn.Module = _ARCHITECTURES[self.architecture]()
        module.pretrained_cfg = self.config  # type: ignore[assignment]
        return module

    @property
    def config(self) -> dict[str, Any]:
        """Its preprocessing in timm's words."""
        return taskonomy.CONFIG if self.architecture == "taskonomy_encoder" else hub.CONFIG


#: What the column ``architecture`` may hold.
_ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = {"taskonomy_encoder": taskonomy.Encoder, **hub.ARCHITECTURES}


@cache
def published() -> dict[str, Published]:
    """All networks with published weights, by name."""
    text = (files("murine.networks") / "tables" / "published.csv").read_text("utf-8")
    return {row["name"]: Published(**row) for row in csv.DictReader(text.splitlines())}


@cache
def torchvision_names() -> tuple[str, ...]:
    """Networks of torchvision that take images: classification and semantic segmentation, without its prefix.

    Those that take clips, pairs of images or lists of images (detection) and quantised ones are left out."""
    import torchvision.models as models

    names: list[str] = [*models.list_models(module=models), *models.list_models(module=models.segmentation)]
    return tuple(names)


def names(pattern: str = "*") -> list[str]:
    """Networks by their full names, wildcards allowed."""
    every = [*(f"torchvision:{name}" for name in torchvision_names()), *published()]
    return fnmatch.filter(every, pattern)


def plain_names(pattern: str) -> list[str]:
    """Networks of torchvision that timm does not have, by their plain names, wildcards allowed."""
    import timm

    return [name for name in fnmatch.filter(torchvision_names(), pattern) if not timm.is_model(name)]


def source_of(name: str) -> str:
    """The source in a name, or ''."""
    source = name.partition(":")[0]
    return source if ":" in name and source in SOURCES else ""


def full_name(name: str) -> str:
    """The name with its source, if it is one of torchvision's that timm does not have; any other as it is."""
    import timm

    if source_of(name) or timm.is_model(name.partition(".")[0]) or name.partition(".")[0] not in torchvision_names():
        return name
    return f"torchvision:{name}"


def build(name: str, size: tuple[int, int] | None = None) -> nn.Module:
    """Build a network with random weights, drawn from torch's global state; ``pretrained_cfg`` tells its preprocessing.

    Parameters
    ----------
    name
        Full name; one of torchvision's may hold the name of weights (``torchvision:resnet50.IMAGENET1K_V2``), of which
        the preprocessing is taken.
    size
        Of the images, for networks that are built for one.
    """
    return _torchvision(name, size)[0] if source_of(name) == "torchvision" else _row(name).build()


def build_trained(name: str, size: tuple[int, int] | None = None, digest: str = "") -> tuple[nn.Module, str]:
    """Build a network with its published weights, which are fetched if they are not in torch's cache.

    Parameters
    ----------
    name, size
        As for `build`; without the name of weights, torchvision's default ones.
    digest
        ``sha256:HEX`` that the file must have, instead of the published one: needed where none is published.

    Returns
    -------
    module, label
        The label is ``pretrained:TAG`` or ``pretrained``.
    """
    if source_of(name) != "torchvision":
        row = _row(name)
        file = addresses.obtain(name, row.address, digest or row.digest)
        module = row.build()
        checkpoints.load_file_into(module, file, name, adapter(name))
        return module, "pretrained"
    module, member, rebuild = _torchvision(name, size)
    if member is None:
        raise MurineError(f"torchvision has no pretrained weights for {name!r}; use {name}@random:SEED or {name}@FILE.")
    addresses.obtain(name, member.url, digest or addresses.in_name(member.url))
    trained = rebuild(weights=member, progress=False)  # finds the file in the cache
    trained.pretrained_cfg = module.pretrained_cfg
    return trained, f"pretrained:{member.name}"


def adapter(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What makes the names in a published file those of the network."""
    row = published().get(name)
    return lambda state: hub.adapted(row.layout, state) if row and row.layout != "plain" else state


def _row(name: str) -> Published:
    found = published().get(name)
    if found is None:
        source = source_of(name)
        known = [n for n in published() if n.startswith(f"{source}:")]
        raise MurineError(
            f"unknown network {name!r}{nearest(name, known) or '.'} Known: "
            f"{', '.join(n.partition(':')[2] for n in known)}."
        )
    return found


def _torchvision(name: str, size: tuple[int, int] | None) -> tuple[nn.Module, Any, Callable[..., nn.Module]]:
    """The network with random weights, its member of the enumeration of weights if any, and what builds it again."""
    import inspect

    import torchvision.models as models

    architecture, _, tag = name.partition(":")[2].partition(".")
    if architecture not in torchvision_names():
        known = torchvision_names()
        raise MurineError(
            f"torchvision has no network {architecture!r} that takes images"
            f"{nearest(architecture, known) or '.'} `murine models 'torchvision:*'` lists the {len(known)}."
        )
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


def preprocessing_of(member: Any) -> dict[str, Any]:
    """The preprocessing of a member of torchvision's enumerations, in timm's words; ImageNet's usual one for None."""
    if member is None:
        return hub.CONFIG
    transforms = member.transforms()
    crop = getattr(transforms, "crop_size", None) or getattr(transforms, "resize_size", None) or [224]
    sides = (crop[0], crop[-1])
    return {
        "input_size": (3, *sides),
        "mean": tuple(transforms.mean),
        "std": tuple(transforms.std),
        "interpolation": transforms.interpolation.value,
    }
