"""Networks of timm, with weights from the Hugging Face hub, a seed or a file."""

from __future__ import annotations

import csv
import fnmatch
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from torch import nn

from murine.download import proxy_of, proxy_problem
from murine.errors import MurineError, nearest, reason_of
from murine.networks.sources.source import NetworkSource

#: Seconds to wait until the server of pretrained weights answers.
CONNECTION_TIMEOUT = 5.0

#: Origin of the accuracies of timm's weights: a public file in its repository.
TOP1_SOURCE = "timm results-imagenet.csv at 0173a13"

#: Words in the names of timm's weights that stand for training data.
_DATA = (
    "in1k in12k in21k in22k inw21k inat21 laion2b laion400m laiona openai lvd142m lvd1689m sat493m cc12m yfcc100m "
    "yfcc15m ig1b jft webli datacomp1b datacompxl dfn2b dfn5b dfndr2b metaclip sa1b m30m m38m merged2b"
)

#: Methods of training before the last task, with the words that stand for them in the names of timm's weights.
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

#: Methods that always end with training on classification.
_LABELLED = ("semi-supervised", "semi-weakly supervised", "weakly supervised", "noisy student")


class TimmSource(NetworkSource):
    """The networks of timm. Their names need no prefix."""

    about = "Image models of the library timm, with weights from the Hugging Face hub."
    citation = "Wightman 2019, PyTorch Image Models, https://github.com/huggingface/pytorch-image-models"
    licence = "Apache-2.0 (code); the weights have licences of their own"

    def architectures(self) -> list[str]:
        import timm

        found: list[str] = timm.list_models()
        return found

    def has(self, name: str) -> bool:
        import timm

        return bool(timm.is_model(name.partition(".")[0]))

    def full_name(self, name: str) -> str:
        return name

    def names(self, pattern: str = "*") -> list[str]:
        return fnmatch.filter(self.architectures(), pattern.removeprefix("timm:"))

    def tagged_names(self, architecture: str) -> list[str]:
        import timm

        found: list[str] = timm.list_models(f"{architecture}.*", pretrained=True)
        return found

    def create(self, architecture: str, tag: str, input_size: tuple[int, int] | None) -> nn.Module:
        self._check_tag(architecture, tag)
        return self._create(_joined(architecture, tag), input_size)

    def create_trained(
        self, architecture: str, tag: str, input_size: tuple[int, int] | None, digest: str = ""
    ) -> tuple[nn.Module, str]:
        import timm

        self._check_tag(architecture, tag)
        name = _joined(architecture, tag)
        if digest:
            raise MurineError(
                f"the weights of {name!r} come from the Hugging Face hub, which murine cannot compare with {digest!r}; "
                f"use {name} or {name}@FILE."
            )
        config = timm.get_pretrained_cfg(name)
        if config is None or not config.has_weights:
            raise MurineError(f"timm has no pretrained weights for {name!r}; use {name}@random:SEED or {name}@FILE.")
        try:
            with _without_waiting_for_hub():
                module = self._create(name, input_size, pretrained=True)
        except MurineError:
            raise
        except Exception as error:  # the client of the hub raises exceptions without a common type
            where = config.hf_hub_id or config.url or "the hub"
            reason = proxy_problem() or "; ".join(filter(None, (reason_of(error), proxy_of(_endpoint()))))
            raise MurineError(
                f"the pretrained weights of {name!r} could not be fetched from {where} ({reason}). Without a "
                f"network: {name}@FILE for weights you have (safetensors or a state dict), {name}@random:0 for random "
                "ones, or a filled Hugging Face cache (HF_HOME)."
            ) from error
        found = (getattr(module, "pretrained_cfg", None) or {}).get("tag", "")
        return module, f"pretrained:{found}" if found else "pretrained"

    def facts(self, architecture: str, tag: str) -> dict[str, Any]:
        import timm

        config = timm.get_pretrained_cfg(_joined(architecture, tag), allow_unregistered=True)
        if config is None:
            return {"origin": "no configuration in timm"}
        facts: dict[str, Any] = {
            "input_size": tuple(config.input_size[-2:]),
            "origin": "input size: timm's configuration",
        }
        if not (config.tag and config.has_weights):
            return facts
        task, data = training(config.tag, config.num_classes)
        facts |= {"weights": config.tag, "task": task, "data": data}
        facts["origin"] += "; task, data: the name of the weights" if task or data else ""
        if (top1 := _top1().get(f"{architecture}.{config.tag}")) is not None:
            facts["top1"] = top1
            facts["origin"] += f"; top-1: {TOP1_SOURCE}"
        return facts

    def _check_tag(self, architecture: str, tag: str) -> None:
        tags = [name.partition(".")[2] for name in self.tagged_names(architecture)] if tag else []
        if tag and tag not in tags:
            raise MurineError(
                f"{architecture} has no weights {tag!r}{nearest(tag, tags) or '.'} Known: {', '.join(tags) or 'none'}."
            )

    @staticmethod
    def _create(name: str, input_size: tuple[int, int] | None, pretrained: bool = False) -> nn.Module:
        import timm

        config = timm.get_pretrained_cfg(name, allow_unregistered=True)
        options: dict[str, Any] = {}
        if input_size and config is not None and config.fixed_input_size and input_size != config.input_size[-2:]:
            options["img_size"] = input_size
        try:
            module: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
        except (AssertionError, TypeError, ValueError) as error:
            if not options or input_size is None:
                raise
            raise MurineError(
                f"{name} cannot be built for images of {input_size[0]} x {input_size[1]} px: "
                f"{reason_of(error).rstrip('.')}."
            ) from error
        return module


def _joined(architecture: str, tag: str) -> str:
    return f"{architecture}.{tag}" if tag else architecture


def training(tag: str, n_classes: int) -> tuple[str, str]:
    """Return task and data of training, read from the name of timm's weights; '' for what the name does not say.

    Examples
    --------
    >>> training("fb_in22k_ft_in1k", n_classes=1000)
    ('classification', 'in22k, in1k')
    """
    words = tag.split("_")
    data = ", ".join(dict.fromkeys(word for word in words if word in _DATA.split()))
    method = next((name for name, known in _METHODS.items() if set(words) & set(known.split())), "")
    if n_classes and (method in _LABELLED or "ft" in words or (data and not method)):
        return f"classification after {method}" if method else "classification", data
    return method, data


@cache
def _top1() -> dict[str, float]:
    text = (files("murine.networks") / "tables" / "top1.csv").read_text("utf-8")
    return {row["network"]: float(row["top1"]) for row in csv.DictReader(text.splitlines())}


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


@contextmanager
def _without_waiting_for_hub() -> Iterator[None]:
    """Let the hub's client use only its cache if the hub cannot be reached; otherwise it would retry for a minute."""
    from huggingface_hub import constants

    address = urlsplit(_endpoint())
    offline = constants.HF_HUB_OFFLINE
    if proxy_problem():
        constants.HF_HUB_OFFLINE = True
    elif not offline and not proxy_of(_endpoint()):
        port = address.port or (443 if address.scheme == "https" else 80)
        try:
            socket.create_connection((address.hostname or "", port), timeout=CONNECTION_TIMEOUT).close()
        except OSError:
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
