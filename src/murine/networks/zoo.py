"""The zoo: names to networks, with weights, preprocessing and where they come from."""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from murine.errors import MurineError, reason_of
from murine.networks import checkpoints, sources, timm_networks, user_files, weights
from murine.networks.module_adapters import config_of
from murine.networks.network import Network
from murine.networks.preprocessing import Preprocessing, input_size_of
from murine.networks.process_state import preserved_state
from murine.networks.spec import NetworkSpec as NetworkSpec
from murine.networks.spec import controls as controls
from murine.networks.spec import expand as expand
from murine.networks.spec import is_user_file, name_length, seed_of
from murine.networks.spec import twin as twin
from murine.networks.surgery import insertion as surgery

log = logging.getLogger(__name__)


def matching(pattern: str) -> list[str]:
    """Networks that a pattern names: controls, timm's and, where timm has none of the name, torchvision's.

    A pattern with a source (``torchvision:*``, ``taskonomy:*``, ``hub:*``) names those of the source; ``*`` names all.
    """
    others = sources.names(pattern) if ":" in pattern or pattern == "*" else sources.plain_names(pattern)
    return [*fnmatch.filter(controls, pattern), *timm_networks.names(pattern), *others]


def load(choice: NetworkSpec | str, *, input_size: int | tuple[int, int] | None = None, device: str = "cpu") -> Network:
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
        (`murine.networks.surgery.insertion`), ``LAYER(OPTIONS)@PLACE``, as ``resnet18+neurn(k=3)@input@random:0``.
    input_size
        Replaces the network's own; part of the identity, since small inputs fit the mouse better.

    Raises
    ------
    MurineError
        Unknown names, weights that cannot be had or do not fit.
    """
    choice = NetworkSpec.parse(choice) if isinstance(choice, str) else choice
    size = input_size_of(input_size)
    with preserved_state(str(choice)), user_files.explained(f"{str(choice)!r} cannot be built"):
        built = _built(choice, size)
        role = _ROLES.get(built.weights.partition(":")[0], "trained")
        network = Network(
            _short(built.name), built.weights, role, built.module.eval(), built.preprocessing, _identity(built)
        )
        try:
            network.module.to(device)
        except (RuntimeError, AssertionError) as error:
            raise MurineError(f"the device {device!r} cannot be used: {reason_of(error)}") from error
        for layer, place in choice.layers:
            network = surgery.insert(network, layer, place).network
    return network


#: Roles by what the weights are called, up to a colon; all others are trained.
_ROLES = {"none": "control", "random": "random", user_files.AS_BUILT: "as built"}


@dataclass(frozen=True)
class _Built:
    """A network before surgery, with the source of a user's file."""

    name: str
    module: nn.Module
    preprocessing: Preprocessing
    weights: str
    source: bytes = b""


def _identity(built: _Built) -> str:
    # Weights alone are no identity: controls have none, and two factories may share a file of them.
    structure = re.sub(r" at 0x[0-9a-f]+", "", str(built.module))  # addresses of functions differ from run to run
    code = str(built.module.code).encode() if isinstance(built.module, torch.jit.ScriptModule) else b""
    identity = (_short(built.name), structure, weights.digest(built.module))
    return hashlib.sha256("\0".join(identity).encode() + built.source + code).hexdigest()


def skeleton(
    choice: NetworkSpec | str, *, input_size: int | tuple[int, int] | None = None
) -> tuple[nn.Module, Preprocessing]:
    """Build a network on the meta device: all shapes, no numbers, no memory; whatever its weights would be.

    One that computes with numbers while it is built has them until then.

    Raises
    ------
    MurineError
        As `load`.
    """
    asked = NetworkSpec.parse(choice) if isinstance(choice, str) else choice
    choice = NetworkSpec(asked.name, "" if asked.name in controls else "random:0", asked.variant)
    size = input_size_of(input_size)
    with preserved_state(str(asked)), user_files.explained(f"{str(asked)!r} cannot be built"):
        try:
            with torch.device("meta"):
                built = _built(choice, size, shapes_only=True)
        except Exception:  # of any type: it needs numbers, or fails again
            built = _built(choice, size, shapes_only=True)
        module, preprocessing = built.module.to("meta").eval(), built.preprocessing
        probe = torch.empty(1, preprocessing.n_channels, *preprocessing.input_size, device="meta")
        for layer, place in choice.layers:
            surgery.insert(module, layer, place, probe=probe)
    return module, preprocessing


def _built(choice: NetworkSpec, size: tuple[int, int] | None, shapes_only: bool = False) -> _Built:
    if is_user_file(choice.name):
        user = user_files.build(choice.name, choice.weights, size, shapes_only=shapes_only)
        return _Built(choice.name, user.module, user.preprocessing, user.weights, user.source)
    if choice.name in controls:
        if choice.weights:
            raise MurineError(f"the control {choice.name!r} has no weights; ask for {choice.name!r} alone.")
        name, module, label = choice.name, controls[choice.name](), "none"
    else:
        name, chosen = sources.full_name(choice.name), choice.weights or "pretrained"
        if sources.source_of(name):
            module, label = _from_source(name, chosen, size)
        else:
            others = (*sources.plain_names("*"), *controls)
            module, label = timm_networks.build(name, chosen, size, others)
    return _Built(name, module, Preprocessing.from_config(config_of(module), size), label)


def _from_source(name: str, chosen: str, size: tuple[int, int] | None) -> tuple[nn.Module, str]:
    seed = seed_of(chosen)
    if seed is not None:
        with weights.seeded(seed):
            return sources.build(name, size), chosen
    if chosen == "pretrained" or chosen.startswith("sha256:"):
        return sources.build_trained(name, size, chosen.removeprefix("pretrained"))
    module = sources.build(name, size)
    checkpoints.load_file_into(module, chosen, name, sources.adapter(name))
    return module, f"file:{Path(chosen).name}"


def _short(name: str) -> str:
    """Without the folders of a file."""
    end = name_length(name)
    file = name[:end]
    return file.rpartition("/")[2] + name[end:]


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
