"""Networks of timm, with weights from the Hugging Face hub, a seed or a file."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from torch import nn

from murine.download import proxy_of, proxy_problem
from murine.errors import MurineError, nearest, reason_of
from murine.networks import checkpoints, weights
from murine.networks.spec import seed_of

#: Seconds to wait for the hub of pretrained weights to answer at all.
CONNECTION_TIMEOUT = 5.0


def names(pattern: str = "") -> list[str]:
    """Architectures, wildcards allowed."""
    import timm

    found: list[str] = timm.list_models(pattern)
    return found


def build(name: str, chosen: str, size: tuple[int, int] | None, others: Sequence[str]) -> tuple[nn.Module, str]:
    """Build a network of timm with its weights.

    Parameters
    ----------
    name
        An architecture, alone or with the tag of weights.
    chosen
        ``pretrained``, ``random:SEED`` or a file.
    size
        (height, width) of the images; None for the network's own.
    others
        Names of networks from elsewhere, for the message about an unknown one.

    Returns
    -------
    module, label
        The label tells the weights: ``pretrained:TAG``, ``random:SEED``, ``file:NAME``.
    """
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = [*names(), *others]
        raise MurineError(
            f"unknown network {name!r}{nearest(name, known) or '.'} `murine models` lists the {len(known)} known; your "
            "own network is path/to/file.py:factory."
        )
    if tag and tag not in (
        tags := [n.partition(".")[2] for n in timm.list_models(f"{architecture}.*", pretrained=True)]
    ):
        raise MurineError(
            f"{architecture} has no weights {tag!r}{nearest(tag, tags) or '.'} Known: {', '.join(tags) or 'none'}."
        )
    options: dict[str, Any] = {}
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if size and config is not None and config.fixed_input_size and size != config.input_size[-2:]:
        options["img_size"] = size
    seed = seed_of(chosen)
    if seed is not None:
        with weights.seeded(seed):
            return _create(name, options), chosen
    if chosen == "pretrained":
        return _pretrained(name, options)
    module = _create(name, options)
    checkpoints.load_file_into(module, chosen, name)
    return module, f"file:{Path(chosen).name}"


def _create(name: str, options: dict[str, Any], pretrained: bool = False) -> nn.Module:
    import timm

    try:
        module: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
    except (AssertionError, TypeError, ValueError) as error:
        size = options.get("img_size")
        if size is None:
            raise
        raise MurineError(
            f"{name} cannot be built for images of {size[0]} x {size[1]} px: {reason_of(error).rstrip('.')}."
        ) from error
    return module


def _pretrained(name: str, options: dict[str, Any]) -> tuple[nn.Module, str]:
    import timm

    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise MurineError(f"timm has no pretrained weights for {name!r}; use {name}@random:SEED or {name}@FILE.")
    try:
        with _hub_within_reach():
            module = _create(name, options, pretrained=True)
    except MurineError:
        raise
    except Exception as error:  # whatever the hub's client raises: there is no common type
        where = config.hf_hub_id or config.url or "the hub"
        reason = proxy_problem() or "; ".join(filter(None, (reason_of(error), proxy_of(_endpoint()))))
        raise MurineError(
            f"the pretrained weights of {name!r} could not be fetched from {where} ({reason}). Without a "
            f"network: {name}@FILE for weights you have (safetensors or a state dict), {name}@random:0 for random "
            "ones, or a filled Hugging Face cache (HF_HOME)."
        ) from error
    tag = (getattr(module, "pretrained_cfg", None) or {}).get("tag", "")
    return module, f"pretrained:{tag}" if tag else "pretrained"


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


@contextmanager
def _hub_within_reach() -> Iterator[None]:
    """Where the hub cannot be reached, let its client use its cache alone: by itself it would retry for a minute."""
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
