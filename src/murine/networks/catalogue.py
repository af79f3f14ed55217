"""The catalogue: every network that has a name, with what is known of it, and the lists of published studies.

What is not known is empty, and `Entry.sources` tells where the rest comes from. The tables in ``tables/`` are

* ``architectures.csv``: parameters and depth, counted by building every network (tools/tabulate_networks.py);
* ``papers.csv``: which paper an architecture is from, by patterns of its name;
* ``top1.csv``: accuracies that timm has published for its weights, of the networks in the suites and a few others;
* ``published.csv``: weights that their authors publish, with address and digest;
* ``suites.csv``: the lists of studies."""

from __future__ import annotations

import csv
import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from murine.errors import MurineError, nearest
from murine.networks import sources
from murine.networks.spec import SUITE as SUITE

#: Where the accuracies of timm's weights are from: a public file of its repository.
TOP1_SOURCE = "timm results-imagenet.csv at 0173a13"

#: Words in the names of timm's weights that name data, or whose data they are.
_DATA = (
    "in1k in12k in21k in22k inw21k inat21 laion2b laion400m laiona openai lvd142m lvd1689m sat493m cc12m yfcc100m "
    "yfcc15m ig1b jft webli datacomp1b datacompxl dfn2b dfn5b dfndr2b metaclip sa1b m30m m38m merged2b"
)

#: Words that name how a network was trained before its last task, if ever it had one.
_METHODS = {
    "self-supervised (DINO)": "dino",
    "self-supervised (DINOv2)": "lvd142m",
    "self-supervised (DINOv3)": "dinov3",
    "self-supervised (MAE)": "mae",
    "self-supervised (FCMAE)": "fcmae",
    "self-supervised (I-JEPA)": "ijepa",
    "self-supervised (masked image modelling)": "mim m30m m38m",
    "self-supervised (SEER)": "seer",
    "semi-supervised": "ssl yfcc100m",
    "semi-weakly supervised": "swsl",
    "weakly supervised": "wsl swag",
    "noisy student": "ns",
    "image and text": "openai laion2b laion400m laiona webli datacomp1b datacompxl dfn2b dfn5b dfndr2b metaclip "
    "metaclip2 cc12m yfcc15m merged2b clip mclip mclip2 tinyclip",
}

#: Methods whose weights always end with classification.
_LABELLED = ("semi-supervised", "semi-weakly supervised", "weakly supervised", "noisy student")


@dataclass(frozen=True)
class Entry:
    """What is known of a network; None or '' where nothing is.

    Attributes
    ----------
    network
        What `zoo.load` takes.
    source
        ``timm``, ``torchvision``, ``taskonomy``, ``hub`` or ``control``.
    family
        The module that builds it.
    parameters, depth
        Numbers that training may change, all layers included; convolutions and matrix products with learnt weights on
        the longest way through it (`anatomy.depth`).
    input_size
        (height, width) that its weights expect.
    weights
        The tag of the weights that `task`, `data` and `top1` are of: those asked for, else the default ones.
    task, data
        What it was trained on, data in the order of training.
    top1
        Percent of ImageNet's validation images, as its publishers say.
    year, citation
        Of the paper that describes the architecture (for self-supervised weights, the method).
    sources
        Where all this comes from.
    """

    network: str
    source: str
    family: str = ""
    parameters: int | None = None
    depth: int | None = None
    input_size: tuple[int, int] | None = None
    weights: str = ""
    task: str = ""
    data: str = ""
    top1: float | None = None
    year: int | None = None
    citation: str = ""
    sources: str = ""

    def row(self) -> dict[str, Any]:
        """Its fields, as a table shows them."""
        size = "" if self.input_size is None else "x".join(str(side) for side in self.input_size)
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"input_size": size}


@dataclass(frozen=True)
class Member:
    """A network of a published study.

    Attributes
    ----------
    suite, name
        The list, and what the network is called there.
    part
        Where its authors took it from.
    network
        What `zoo.load` builds for it today, '' where nothing can be built.
    missing
        Why not.
    note
        How it was identified, or how what is built differs.
    """

    suite: str
    name: str
    part: str
    network: str
    missing: str
    note: str


@cache
def suites() -> dict[str, tuple[Member, ...]]:
    """All lists, by name: ``conwell2021`` (its 31 networks of torchvision and 78 of timm), ``conwell2021-tasks`` (those
    trained on other tasks than ImageNet's, with Taskonomy's encoders) and ``neurn44`` (arXiv 2505.06881)."""
    found: dict[str, list[Member]] = {}
    for row in _table("suites"):
        member = Member(row["suite"], row["member"], row["part"], row["network"], row["missing"], row["note"])
        found.setdefault(member.suite, []).append(member)
    return {name: tuple(members) for name, members in found.items()}


def suite(name: str) -> tuple[Member, ...]:
    """The members of a list, ``suite:neurn44`` or ``neurn44``, in its order.

    Raises
    ------
    MurineError
        If there is no such list.
    """
    name = name.removeprefix(SUITE)
    if name not in suites():
        raise MurineError(
            f"there is no suite {name!r}{nearest(name, suites()) or '.'} Known: "
            f"{', '.join(SUITE + known for known in suites())}."
        )
    return suites()[name]


def names(pattern: str = "*") -> list[str]:
    """Every architecture of timm, then those of the other sources with their full names, wildcards allowed."""
    import timm

    return [*timm.list_models(pattern), *sources.names(pattern)]


def weights_of(architecture: str) -> list[str]:
    """An architecture with the tag of each of its pretrained weights; itself where it has weights without a tag."""
    import timm

    source = sources.source_of(architecture)
    if not source:
        found: list[str] = timm.list_models(f"{architecture}.*", pretrained=True)
        return found
    if source != "torchvision":
        return [architecture]
    import torchvision.models as models

    return [f"{architecture}.{member.name}" for member in models.get_model_weights(architecture.partition(":")[2])]


def entry(network: str) -> Entry:
    """What is known of a network, named as for `zoo.load`, with or without the tag of weights.

    Of a network that was not there when ``architectures.csv`` was written, parameters and depth are unknown."""
    network = sources.full_name(network)
    architecture, _, tag = network.partition(".")
    built = _architectures().get(architecture, {})
    told = {
        "": _of_timm,
        "torchvision": _of_torchvision,
        "taskonomy": _of_published,
        "hub": _of_published,
    }[sources.source_of(network)](architecture, tag)
    notes = [f"parameters, depth: built with {built['source']}"] if built.get("parameters") else []
    if citation := told.get("citation", "") or _citation(architecture):
        told |= {"citation": citation, "year": _year(citation)}
        notes.append("paper: papers.csv" if citation == _citation(architecture) else "paper: published.csv")
    notes.append(told.pop("told_by"))
    return Entry(
        network=network,
        source=sources.source_of(network) or "timm",
        family=built.get("family", ""),
        parameters=int(built["parameters"]) if built.get("parameters") else None,
        depth=int(built["depth"]) if built.get("depth") else None,
        sources="; ".join(notes),
        **told,
    )


def entries(networks: Iterable[str]) -> list[Entry]:
    """`entry` of each."""
    return [entry(network) for network in networks]


def training(tag: str, n_classes: int) -> tuple[str, str]:
    """Task and data of training, as far as the name of timm's weights tells (``fb_in22k_ft_in1k``); '' where it does
    not."""
    words = tag.split("_")
    data = ", ".join(dict.fromkeys(word for word in words if word in _DATA.split()))
    method = next((name for name, known in _METHODS.items() if set(words) & set(known.split())), "")
    if n_classes and (method in _LABELLED or "ft" in words or (data and not method)):
        return f"classification after {method}" if method else "classification", data
    return method, data


def _of_timm(architecture: str, tag: str) -> dict[str, Any]:
    import timm

    config = timm.get_pretrained_cfg(f"{architecture}.{tag}" if tag else architecture, allow_unregistered=True)
    if config is None:
        return {"told_by": "no configuration in timm"}
    told: dict[str, Any] = {"input_size": tuple(config.input_size[-2:]), "told_by": "input size: timm's configuration"}
    if not (config.tag and config.has_weights):
        return told
    task, data = training(config.tag, config.num_classes)
    told |= {"weights": config.tag, "task": task, "data": data}
    told["told_by"] += "; task, data: the name of the weights" if task or data else ""
    if (top1 := _top1().get(f"{architecture}.{config.tag}")) is not None:
        told["top1"] = top1
        told["told_by"] += f"; top-1: {TOP1_SOURCE}"
    return told


def _of_torchvision(architecture: str, tag: str) -> dict[str, Any]:
    import torchvision.models as models

    tags = models.get_model_weights(architecture.partition(":")[2]).__members__
    config = sources.preprocessing_of(tags.get(tag or "DEFAULT"))
    told: dict[str, Any] = {"input_size": tuple(config["input_size"][1:]), "told_by": "the rest: torchvision's weights"}
    if (member := tags.get(tag or "DEFAULT")) is None:
        return told
    told["weights"] = member.name
    if member.name.startswith("IMAGENET1K"):
        told |= {"task": "classification", "data": "in1k"}
        told["top1"] = member.meta.get("_metrics", {}).get("ImageNet-1K", {}).get("acc@1")
    elif member.name.startswith("COCO"):
        told |= {"task": "segmentation", "data": "coco"}
    return told


def _of_published(architecture: str, tag: str) -> dict[str, Any]:
    row = sources.published()[architecture]
    config = row.config
    told = {"task": row.task, "data": row.data, "citation": row.citation, "told_by": "the rest: published.csv"}
    return told | {"input_size": tuple(config["input_size"][1:])}


def _table(name: str) -> list[dict[str, str]]:
    text = (files("murine.networks") / "tables" / f"{name}.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def _architectures() -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in _table("architectures")}


@cache
def _top1() -> dict[str, float]:
    return {row["network"]: float(row["top1"]) for row in _table("top1")}


@cache
def _citation(architecture: str) -> str:
    name = architecture.rpartition(":")[2]
    return next((row["citation"] for row in _table("papers") if fnmatch.fnmatch(name, row["pattern"])), "")


def _year(citation: str) -> int | None:
    """Of a preprint, from its number."""
    number = citation.removeprefix("arXiv:")
    return 2000 + int(number[:2]) if number[:4].isdigit() and number[4:5] == "." else None
