"""The zoo: names to networks, with weights, preprocessing and where they come from."""

from __future__ import annotations

import fnmatch
import hashlib
import inspect
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import nn

from murine.errors import MurineError, nearest
from murine.networks import calls, sources, surgery, weights
from murine.networks.choices import Choice as Choice
from murine.networks.choices import controls as controls
from murine.networks.choices import expand as expand
from murine.networks.choices import seed_of
from murine.networks.choices import twin as twin
from murine.networks.network import Network
from murine.networks.preprocessing import Preprocessing

log = logging.getLogger(__name__)

#: Seconds to wait for the hub of pretrained weights to answer at all.
CONNECTION_TIMEOUT = 5.0


def matching(pattern: str) -> list[str]:
    """Networks that a pattern names: controls, timm's and, where timm has none of the name, torchvision's.

    A pattern with a source (``torchvision:*``, ``taskonomy:*``, ``hub:*``) names those of the source; ``*`` names all.
    """
    others = sources.names(pattern) if ":" in pattern or pattern == "*" else sources.plain_names(pattern)
    return [*fnmatch.filter(controls, pattern), *_timm_names(pattern), *others]


def load(choice: Choice | str, *, input_size: int | tuple[int, int] | None = None, device: str = "cpu") -> Network:
    """Build a network with its weights.

    Parameters
    ----------
    choice
        ``NAME[+VARIANT][@WEIGHTS]``. NAME: a timm architecture, alone or with its tag (``resnet18.a1_in1k``); one of
        another source (``torchvision:alexnet``, ``taskonomy:curvature``, ``hub:cornet_s``; what timm does not have may
        go without ``torchvision:``); a control (``pixels``, ``gabor``, ``neurn``); or ``path/to/file.py:factory``, a
        function that returns an ``nn.Module``, whose attribute ``default_cfg`` (timm's keys: input_size, mean, std,
        interpolation) tells the preprocessing; options of the function in brackets, ``factory(width=64)``.
        WEIGHTS: ``pretrained`` (the default but for a factory), ``random:SEED``, a file (safetensors, or a checkpoint
        without code), or ``sha256:HEX``, the published weights if they have this digest. VARIANT: layers put into it
        (`murine.networks.surgery`), ``LAYER(OPTIONS)@PLACE``, as ``resnet18+neurn(k=3)@input@random:0``.
    input_size
        Replaces the network's own; part of the identity, since small inputs fit the mouse better.

    Raises
    ------
    MurineError
        Unknown names, weights that cannot be had or do not fit.
    """
    choice, module, label, source = _built(Choice.parse(choice) if isinstance(choice, str) else choice, input_size)
    role = {"none": "control", "random": "random"}.get(label.partition(":")[0], "trained")
    preprocessing = _preprocessing(module, input_size)
    # Weights alone are no identity: controls have none, and two factories may share a file of them.
    identity = (_short(choice.name), str(module), weights.digest(module))
    total = hashlib.sha256("\0".join(identity).encode() + source).hexdigest()
    try:
        module = module.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise MurineError(f"the device {device!r} cannot be used: {str(error).splitlines()[0]}") from error
    network = Network(identity[0], label, role, module, preprocessing, total)
    for layer, place in choice.layers:
        network = surgery.insert(network, layer, place).network
    return network


def skeleton(
    choice: Choice | str, *, input_size: int | tuple[int, int] | None = None
) -> tuple[nn.Module, Preprocessing]:
    """Build a network on the meta device: all shapes, no numbers, no memory; whatever its weights would be.

    One that computes with numbers while it is built has them until then.

    Raises
    ------
    MurineError
        As `load`.
    """
    choice = Choice.parse(choice) if isinstance(choice, str) else choice
    choice = Choice(choice.name, "" if choice.name in controls else "random:0", choice.variant)
    try:
        with torch.device("meta"):
            module = _built(choice, input_size)[1]
    except (NotImplementedError, RuntimeError):
        module = _built(choice, input_size)[1].to("meta")
    preprocessing = _preprocessing(module, input_size)
    for layer, place in choice.layers:
        surgery.insert(module, layer, place, probe=torch.empty(1, 3, *preprocessing.input_size, device="meta"))
    return module.eval(), preprocessing


def _built(choice: Choice, input_size: int | tuple[int, int] | None) -> tuple[Choice, nn.Module, str, bytes]:
    """The choice with its full name, its module, the label of its weights and the source of a factory."""
    if ".py:" in choice.name:
        return choice, *_from_file(choice)
    if choice.name in controls:
        if choice.weights:
            raise MurineError(f"the control {choice.name!r} has no weights; ask for {choice.name!r} alone.")
        return choice, controls[choice.name](), "none", b""
    choice = Choice(sources.full_name(choice.name), choice.weights, choice.variant)
    build = _from_source if sources.source_of(choice.name) else _from_timm
    return choice, *build(choice, input_size), b""


def _preprocessing(module: nn.Module, input_size: int | tuple[int, int] | None) -> Preprocessing:
    config: dict[str, Any] = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None) or {}
    return Preprocessing.from_config(config, input_size)


def _short(name: str) -> str:
    """Without the folders of a file."""
    file, mark, call = name.partition(".py:")
    return file.rpartition("/")[2] + mark + call


def _from_source(choice: Choice, input_size: int | tuple[int, int] | None) -> tuple[nn.Module, str]:
    size = (input_size, input_size) if isinstance(input_size, int) else input_size
    chosen = choice.weights or "pretrained"
    seed = seed_of(chosen)
    if seed is not None:
        with weights.seeded(seed):
            return sources.build(choice.name, size), chosen
    if chosen == "pretrained" or chosen.startswith("sha256:"):
        return sources.build_trained(choice.name, size, chosen.removeprefix("pretrained"))
    module = sources.build(choice.name, size)
    weights.load_file_into(module, chosen, choice.name, sources.adapter(choice.name))
    return module, f"file:{Path(chosen).name}"


def _timm_names(pattern: str = "") -> list[str]:
    import timm

    names: list[str] = timm.list_models(pattern)
    return names


def _from_timm(choice: Choice, input_size: int | tuple[int, int] | None) -> tuple[nn.Module, str]:
    import timm

    architecture, _, tag = choice.name.partition(".")
    if not timm.is_model(architecture):
        known = [*_timm_names(), *sources.plain_names("*"), *controls]
        raise MurineError(
            f"unknown network {choice.name!r}{nearest(choice.name, known) or '.'} `murine models` lists the "
            f"{len(known)} known; your own network is path/to/file.py:factory."
        )
    if tag and tag not in (
        tags := [n.partition(".")[2] for n in timm.list_models(f"{architecture}.*", pretrained=True)]
    ):
        raise MurineError(
            f"{architecture} has no weights {tag!r}{nearest(tag, tags) or '.'} Known: {', '.join(tags) or 'none'}."
        )
    options: dict[str, Any] = {}
    config = timm.get_pretrained_cfg(choice.name, allow_unregistered=True)
    size = (input_size, input_size) if isinstance(input_size, int) else input_size
    if size and config is not None and config.fixed_input_size and size != config.input_size[-2:]:
        options["img_size"] = size
    chosen = choice.weights or "pretrained"
    seed = seed_of(chosen)
    if seed is not None:
        with weights.seeded(seed):
            return _create(choice.name, options), chosen
    if chosen == "pretrained":
        return _pretrained(choice.name, options)
    module = _create(choice.name, options)
    weights.load_file_into(module, chosen, choice.name)
    return module, f"file:{Path(chosen).name}"


def _create(name: str, options: dict[str, Any], pretrained: bool = False) -> nn.Module:
    import timm

    try:
        module: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
    except (AssertionError, TypeError, ValueError) as error:
        if not options:
            raise
        raise MurineError(f"{name} cannot be built for inputs of {options['img_size']}: {error}.") from error
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
        raise MurineError(
            f"the pretrained weights of {name!r} could not be fetched from {where} ({type(error).__name__}). Without a "
            f"network: {name}@FILE for weights you have (safetensors or a state dict), {name}@random:0 for random "
            "ones, or a filled Hugging Face cache (HF_HOME)."
        ) from error
    tag = (getattr(module, "pretrained_cfg", None) or {}).get("tag", "")
    return module, f"pretrained:{tag}" if tag else "pretrained"


@contextmanager
def _hub_within_reach() -> Iterator[None]:
    """Where the hub cannot be reached, let its client use its cache alone: by itself it would retry for a minute."""
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    offline = constants.HF_HUB_OFFLINE
    if not offline and "https" not in getproxies():
        port = address.port or (443 if address.scheme == "https" else 80)
        try:
            socket.create_connection((address.hostname or "", port), timeout=CONNECTION_TIMEOUT).close()
        except OSError:
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


class _AsItStands(SourceFileLoader):
    """Runs a file as it is now: Python's cache of compiled files goes by size and whole seconds, so it may be stale,
    and a full disk leaves half a file in it."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _from_file(choice: Choice) -> tuple[nn.Module, str, bytes]:
    """Build a network by a function in a user's Python file."""
    file_name, _, call = choice.name.partition(".py:")
    file_name += ".py"
    file = Path(file_name)
    if not file.is_file():
        raise MurineError(f"there is no file {file_name!r}; expected path/to/file.py:factory.")
    loader = _AsItStands(f"murine_user_{file.stem}", str(file))
    spec = ModuleSpec(loader.name, loader, origin=loader.path)
    spec.has_location = True
    imported = module_from_spec(spec)
    sys.modules[spec.name] = imported  # dataclasses look their module up there
    try:
        loader.exec_module(imported)
    except Exception as error:
        del sys.modules[spec.name]
        raise MurineError(f"{file_name!r} cannot be imported: {type(error).__name__}: {error}") from error
    function, inside = calls.split(call) or (call, "")
    factory = getattr(imported, function, None)
    if not callable(factory):
        own = {n: f for n, f in vars(imported).items() if getattr(f, "__module__", "") == spec.name}
        names = [n for n, value in own.items() if inspect.isfunction(value) and not n.startswith("_")]
        raise MurineError(
            f"{file_name!r} has no function {function!r}{nearest(function, names) or '.'} It has: {', '.join(names)}."
        )
    chosen = calls.options(inside, factory, f"{function!r} in {file_name!r}")
    seed = seed_of(choice.weights)
    takes_pretrained = "pretrained" in inspect.signature(factory).parameters
    try:
        with weights.seeded(seed or 0):
            if takes_pretrained and choice.weights not in ("", "pretrained"):
                chosen["pretrained"] = False
            module = factory(**chosen)
            if isinstance(module, nn.Module) and seed is not None and not takes_pretrained:
                weights.reinitialise(module)
    except MurineError:
        raise
    except Exception as error:
        raise MurineError(f"{choice.name!r} failed: {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise MurineError(f"{choice.name!r} returned {type(module).__name__}; expected a torch.nn.Module.")
    label = choice.weights if seed is not None else "own"
    if choice.weights not in ("", "pretrained") and seed is None:
        weights.load_file_into(module, choice.weights, choice.name)
        label = f"file:{Path(choice.weights).name}"
    return module, label, file.read_bytes()


def available_device(device: str) -> str:
    """Resolve ``auto`` to the best device; refuse one that is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        parsed = torch.device(device)
    except RuntimeError as error:
        raise MurineError(f"unknown device {device!r}; expected cpu, cuda, cuda:1 ... or auto.") from error
    if parsed.type == "cuda" and not torch.cuda.is_available():
        raise MurineError(f"the device {device!r} was asked for, but PyTorch sees no CUDA here; use --device cpu.")
    return device
