"""Networks that are built by a function in a Python file of the user: ``path/to/file.py:function(option=value)``."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from murine.errors import MurineError, nearest, reason_of
from murine.networks import checkpoints, option_parser
from murine.networks.module_adapters import config_of, image_tower, initialise_lazy, n_channels, without_wrappers
from murine.networks.preprocessing import Preprocessing
from murine.networks.process_state import preserved_state
from murine.networks.sources.local_imports import folder_modules, module_of_file
from murine.networks.sources.source import BuiltNetwork, NetworkSource
from murine.networks.spec import has_torch_initialisation, name_length, seed_of
from murine.networks.weights import reinitialise, seeded

log = logging.getLogger(__name__)

#: Label of weights whose origin the user's function does not state.
AS_BUILT = "as built"


class UserFileSource(NetworkSource):
    """Functions in Python files of the user, named ``path/to/file.py:function(option=value)``."""

    about = "Your own networks: path/to/file.py:function, options of the function in brackets."

    def architectures(self) -> tuple[str, ...]:
        return ()  # the files of a user are not searched

    def full_name(self, name: str) -> str:
        return name

    def create(self, architecture: str, tag: str, input_size: tuple[int, int] | None) -> nn.Module:
        return self.build(architecture, "", input_size).module

    def build(
        self, name: str, weights: str = "", input_size: tuple[int, int] | None = None, *, shapes_only: bool = False
    ) -> BuiltNetwork:
        """Build a network with a function in a file.

        Parameters
        ----------
        name
            ``path/to/file.py:function``, with options of the function in brackets.
        weights
            '' for what the function builds by itself; ``pretrained`` (for a function with a parameter of this name);
            ``random:SEED``, or ``random:SEED:torch`` for PyTorch's initialisation; or a file of weights.
        input_size
            (height, width) that replaces the network's own size.
        shapes_only
            Whether the weights do not matter: none are loaded or drawn again.

        Raises
        ------
        MurineError
            If the file or the function does not exist, or raises anything, `SystemExit` included.
        """
        end = name_length(name)
        file, call = Path(name[: end - 1]), name[end:]
        if not file.is_file():
            raise MurineError(f"there is no file {str(file)!r}; expected path/to/file.py:factory.")
        seed = seed_of(weights)
        content = file.read_bytes()
        with preserved_state(name), folder_modules(file) as neighbours:
            with seeded(seed or 0):
                factory, options = _factory(file, call)
            asked = _asked_pretrained(factory, options, weights, shapes_only, f"{call!r} in {str(file)!r}")
            with seeded(seed or 0), errors_explained(f"{name!r} failed"):
                whole: object = factory(**options)
                if not isinstance(whole, nn.Module):
                    raise MurineError(f"{name!r} returned {type(whole).__name__}; expected a torch.nn.Module.")
                whole = without_wrappers(whole)
                module, tower = image_tower(whole, name)
                config = config_of(module)
                # Whether a network takes one channel may be known only after its lazy modules have run.
                preprocessing = _preprocessing(module, config, input_size)
                lazy = initialise_lazy(module, preprocessing.n_channels, preprocessing.input_size, name)
                by_torch = asked is None or has_torch_initialisation(weights)
                if seed is not None and by_torch and not shapes_only:
                    reinitialise(whole)
            neighbours.note()
        if weights not in ("", "pretrained") and seed is None and not shapes_only:
            checkpoints.load_file_into(whole, weights, name)
        neighbours.follow(module)
        if not shapes_only:
            _warn_about_assumptions(name, tower, config, preprocessing)
            if lazy and not weights:
                _log_once(
                    f"{name} has lazy modules, whose weights are drawn at random now (seed 0), for images of "
                    f"{' x '.join(map(str, preprocessing.input_size))} px; give @FILE for others.",
                    logging.ERROR,  # shown even with --quiet: the scores are those of random weights
                )
        label = _label(weights, seed, asked, config)
        return BuiltNetwork(name, module, preprocessing, label, content + neighbours.source)


def _label(chosen: str, seed: int | None, asked: bool | None, config: Mapping[str, Any]) -> str:
    """Return the label of the weights. The module's configuration may name them under the key ``weights``."""
    if seed is not None:
        return chosen
    if chosen not in ("", "pretrained"):
        return f"file:{Path(chosen).name}"
    told = str(config.get("weights") or "")
    if asked is False or not (asked or told):
        return AS_BUILT
    return f"pretrained:{told}" if told else "pretrained"


def _asked_pretrained(
    factory: Callable[..., object], options: dict[str, Any], chosen: str, shapes_only: bool, what: str
) -> bool | None:
    """Return whether the function is asked for trained weights, and add that to its options; None if it cannot be."""
    parameter = inspect.signature(factory).parameters.get("pretrained")
    if parameter is None:
        if chosen == "pretrained":
            raise MurineError(
                f"{what} has no parameter `pretrained`, so it cannot be asked for trained weights; leave @pretrained "
                "out, or give @FILE."
            )
        return None
    if chosen not in ("", "pretrained") or shapes_only:
        options["pretrained"] = False
    elif chosen == "pretrained":
        options["pretrained"] = True
    default = parameter.default is not parameter.empty and parameter.default
    return bool(options.get("pretrained", default))


def _factory(file: Path, call: str) -> tuple[Callable[..., object], dict[str, Any]]:
    """Run a file and return the function in it that is called, with the options in its brackets."""
    imported, loader = module_of_file(file)
    try:
        with errors_explained(f"{str(file)!r} cannot be imported"):
            loader.exec_module(imported)
    except BaseException:
        del sys.modules[loader.name]
        raise
    function, inside = option_parser.split_call(call) or (call, "")
    factory = getattr(imported, function, None)
    if not callable(factory):
        own = {n: f for n, f in vars(imported).items() if getattr(f, "__module__", "") == loader.name}
        names = [n for n, value in own.items() if inspect.isfunction(value) and not n.startswith("_")]
        raise MurineError(
            f"{str(file)!r} has no function {function!r}{nearest(function, names) or '.'} It has: {', '.join(names)}."
        )
    if isinstance(factory, nn.Module):
        raise MurineError(
            f"{function!r} in {str(file)!r} is a network; expected a function that returns one: "
            f"def build(): return {function}"
        )
    with errors_explained(f"{function!r} in {str(file)!r} cannot be called"):
        return factory, option_parser.parse_options(inside, factory, f"{function!r} in {str(file)!r}")


@contextmanager
def errors_explained(what: str) -> Iterator[None]:
    """Turn any exception of a user's code into a `MurineError`, except `KeyboardInterrupt`."""
    try:
        yield
    except (MurineError, KeyboardInterrupt):
        raise
    except BaseException as error:  # also SystemExit: one network must not end the others
        raise MurineError(f"{what}: {reason_of(error)}") from error


# --------------------------------------------------------------------------------- preprocessing


def _preprocessing(module: nn.Module, config: Mapping[str, Any], input_size: tuple[int, int] | None) -> Preprocessing:
    size = input_size or tuple(config.get("input_size") or (224, 224))[-2:]
    channels = n_channels(module, config, size)
    preprocessing = Preprocessing.from_config(config, input_size, channels)
    if channels == 1 and not config.get("input_size"):
        # Surgery and costs show the network an image of their own and read the number of channels here.
        module.default_cfg = {**config, "input_size": (1, *preprocessing.input_size)}  # type: ignore[assignment]
    return preprocessing


@cache
def _log_once(text: str, level: int = logging.WARNING) -> None:
    log.log(level, "%s", text)


def _warn_about_assumptions(name: str, tower: str, config: Mapping[str, Any], preprocessing: Preprocessing) -> None:
    """Warn once for each network about what it does not state, so that murine assumes it."""
    if tower:
        _log_once(f"{name} takes more than images: only the layers of its part for images, {tower}, are used.")
    missing = [key for key in ("mean", "std") if key not in config]
    if missing:
        channels = preprocessing.n_channels
        example = "(0.485, 0.456, 0.406)" if channels == 3 else "(0.45,)"
        size = f", and at {' x '.join(map(str, preprocessing.input_size))} px" if "input_size" not in config else ""
        _log_once(
            f"{name} does not say how its images are normalised ({' and '.join(missing)} in the module's default_cfg), "
            f"so pixels go in from 0 to 1{size}. If it was trained on others, set for example module.default_cfg = "
            f'{{"input_size": ({channels}, 224, 224), "mean": {example}, "std": ...}}; mean 0 and std 1 say that this '
            "is right."
        )
