"""Networks that a function in a user's own Python file builds: ``path/to/file.py:function(option=value)``."""

from __future__ import annotations

import hashlib
import inspect
import logging
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

from torch import nn

from murine.errors import MurineError, nearest, reason_of
from murine.networks import checkpoints, weights
from murine.networks import module_adapters as adaptation
from murine.networks import option_parser as calls
from murine.networks.preprocessing import Preprocessing
from murine.networks.process_state import preserved_state
from murine.networks.spec import name_length, seed_of

log = logging.getLogger(__name__)

#: What the weights of a network are called that a function builds without saying where they are from.
AS_BUILT = "as built"


@dataclass(frozen=True)
class UserNetwork:
    """A network from a user's file.

    Attributes
    ----------
    weights
        ``as built``, ``pretrained``, ``pretrained:NAME``, ``random:SEED`` or ``file:NAME``.
    source
        Content of the file, and of its neighbours that it imported: part of the identity.
    """

    module: nn.Module
    preprocessing: Preprocessing
    weights: str
    source: bytes


def build(
    name: str, chosen: str = "", input_size: tuple[int, int] | None = None, *, shapes_only: bool = False
) -> UserNetwork:
    """Build a network by a function in a file.

    Parameters
    ----------
    name
        ``path/to/file.py:function``, options of the function in brackets.
    chosen
        '' for what the function builds by itself; ``pretrained`` (for a function with a parameter of this name),
        ``random:SEED``, or a file of weights.
    input_size
        (height, width) that replaces the network's own.
    shapes_only
        Weights do not matter: nothing is loaded or drawn anew.

    Raises
    ------
    MurineError
        Whatever the file or the function raises, `SystemExit` included.
    """
    end = name_length(name)
    file, call = Path(name[: end - 1]), name[end:]
    if not file.is_file():
        raise MurineError(f"there is no file {str(file)!r}; expected path/to/file.py:factory.")
    seed = seed_of(chosen)
    content = file.read_bytes()
    with preserved_state(name), _neighbours(file) as neighbours:
        with weights.seeded(seed or 0):
            factory, options = _factory(file, call)
        asked = _asked_pretrained(factory, options, chosen, shapes_only, f"{call!r} in {str(file)!r}")
        with weights.seeded(seed or 0), explained(f"{name!r} failed"):
            whole: object = factory(**options)
            if not isinstance(whole, nn.Module):
                raise MurineError(f"{name!r} returned {type(whole).__name__}; expected a torch.nn.Module.")
            whole = adaptation.without_wrappers(whole)
            module, tower = adaptation.image_tower(whole, name)
            config = adaptation.config_of(module)
            # A network that takes one channel may only be known once its lazy modules have run.
            preprocessing = _preprocessing(module, config, input_size)
            lazy = adaptation.initialise_lazy(module, preprocessing.n_channels, preprocessing.input_size, name)
            if seed is not None and asked is None and not shapes_only:
                weights.reinitialise(whole)
        neighbours.note()
    if chosen not in ("", "pretrained") and seed is None and not shapes_only:
        checkpoints.load_file_into(whole, chosen, name)
    neighbours.follow(module)
    if not shapes_only:
        _tell(name, tower, config, preprocessing)
        if lazy and not chosen:
            _say_once(
                f"{name} has lazy modules, whose weights are drawn at random now (seed 0), for images of "
                f"{' x '.join(map(str, preprocessing.input_size))} px; give @FILE for others.",
                logging.ERROR,  # also where warnings are not shown: its scores are those of random weights
            )
    label = _label(chosen, seed, asked, config)
    return UserNetwork(module, preprocessing, label, content + neighbours.source)


def _label(chosen: str, seed: int | None, asked: bool | None, config: Mapping[str, Any]) -> str:
    """What the weights are called; a configuration may name them under ``weights``."""
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
    """Whether the function is asked for trained weights; None where it has no such parameter. Completes its options."""
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
    """Run a file and look up the function, with the options in its brackets."""
    # Two files of one name are two modules.
    place = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
    loader = _AsItStands(f"{_PREFIX}{file.stem}_{place}", str(file))
    spec = ModuleSpec(loader.name, loader, origin=loader.path)
    spec.has_location = True
    imported = module_from_spec(spec)
    sys.modules[spec.name] = imported  # dataclasses look their module up there
    try:
        with explained(f"{str(file)!r} cannot be imported"):
            loader.exec_module(imported)
    except BaseException:
        del sys.modules[spec.name]
        raise
    function, inside = calls.split(call) or (call, "")
    factory = getattr(imported, function, None)
    if not callable(factory):
        own = {n: f for n, f in vars(imported).items() if getattr(f, "__module__", "") == spec.name}
        names = [n for n, value in own.items() if inspect.isfunction(value) and not n.startswith("_")]
        raise MurineError(
            f"{str(file)!r} has no function {function!r}{nearest(function, names) or '.'} It has: {', '.join(names)}."
        )
    if isinstance(factory, nn.Module):
        raise MurineError(
            f"{function!r} in {str(file)!r} is a network; expected a function that returns one: "
            f"def build(): return {function}"
        )
    with explained(f"{function!r} in {str(file)!r} cannot be called"):
        return factory, calls.options(inside, factory, f"{function!r} in {str(file)!r}")


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn whatever a user's code raises into a `MurineError`, but an interruption from the keyboard."""
    try:
        yield
    except (MurineError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit, too: one network must not end the others
        raise MurineError(f"{what}: {reason_of(error)}") from error


# --------------------------------------------------------------------------------- preprocessing


def _preprocessing(module: nn.Module, config: Mapping[str, Any], input_size: tuple[int, int] | None) -> Preprocessing:
    size = input_size or tuple(config.get("input_size") or (224, 224))[-2:]
    channels = adaptation.n_channels(module, config, size)
    preprocessing = Preprocessing.from_config(config, input_size, channels)
    if channels == 1 and not config.get("input_size"):
        # So that whatever shows the network an image of its own accord knows.
        module.default_cfg = {**config, "input_size": (1, *preprocessing.input_size)}  # type: ignore[assignment]
    return preprocessing


@cache
def _say_once(text: str, level: int = logging.WARNING) -> None:
    log.log(level, "%s", text)


def _tell(name: str, tower: str, config: Mapping[str, Any], preprocessing: Preprocessing) -> None:
    """Say once for each network what was assumed about it."""
    if tower:
        _say_once(f"{name} takes more than images: its layers are those of the part that takes images alone, {tower}.")
    missing = [key for key in ("mean", "std") if key not in config]
    if missing:
        channels = preprocessing.n_channels
        example = "(0.485, 0.456, 0.406)" if channels == 3 else "(0.45,)"
        size = f", and at {' x '.join(map(str, preprocessing.input_size))} px" if "input_size" not in config else ""
        _say_once(
            f"{name} does not say how its images are normalised ({' and '.join(missing)} in the module's default_cfg), "
            f"so pixels go in from 0 to 1{size}. If it was trained on others, set for example module.default_cfg = "
            f'{{"input_size": ({channels}, 224, 224), "mean": {example}, "std": ...}}; mean 0 and std 1 say that this '
            "is right."
        )


# --------------------------------------------------------------------------------- imports


class _AsItStands(SourceFileLoader):
    """Runs a file as it is now: Python's cache of compiled files goes by size and whole seconds, so it may be stale,
    and a full disk leaves half a file in it."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


class _Neighbours:
    """Modules that a user's file imports from its own folder, as Python lets a script do.

    They are known by their names only while the file is at work: the `helper` of another folder is another module.
    The folder is not listed, so that new files in it are no change of the network (`murine.networks.dependencies`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.modules: dict[str, Any] = {}
        self._aside: dict[str, Any] = {}
        self._others: set[str] = set()
        self._finders = _Finder(self.folder, packages=False), _Finder(self.folder, packages=True)

    def enter(self) -> None:
        # Modules from elsewhere with the name of a neighbour; Python's own and installed ones stay.
        self._aside = {name: module for name, module in sys.modules.items() if self._is_in_the_way(name, module)}
        for name in self._aside:
            del sys.modules[name]
        self._others = set(sys.modules)
        sys.modules.update(self.modules)
        # Folders without __init__.py come last, as Python has it.
        sys.meta_path[:] = [self._finders[0], *sys.meta_path, self._finders[1]]

    def leave(self) -> None:
        self.note()
        for name in self.modules:
            sys.modules.pop(name, None)
        sys.modules.update(self._aside)
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in self._finders]

    def note(self) -> None:
        """Take note of what has been imported from the folder."""
        self.modules |= {name: sys.modules[name] for name in set(sys.modules) - self._others if self._is_here(name)}

    def follow(self, module: nn.Module) -> None:
        """Let a network import its neighbours when it runs, too."""
        if self.modules and hasattr(module, "register_forward_pre_hook"):
            module.register_forward_pre_hook(lambda *_: self.enter())
            module.register_forward_hook(lambda *_: self.leave(), always_call=True)

    @property
    def source(self) -> bytes:
        """The files of all neighbours."""
        files = sorted({(name, getattr(module, "__file__", None) or "") for name, module in self.modules.items()})
        return b"".join(name.encode() + b"\0" + Path(file).read_bytes() for name, file in files if file.endswith(".py"))

    def _is_here(self, name: str) -> bool:
        """Whether the package of a module, or itself, lies in the folder."""
        spec = getattr(sys.modules.get(name.partition(".")[0]), "__spec__", None)
        if spec is None or name.partition(".")[0] == "murine" or name.startswith(_PREFIX):
            return False
        places = [*(spec.submodule_search_locations or [])] or [spec.origin or ""]
        return any(Path(place).parent == self.folder for place in places)

    def _is_in_the_way(self, name: str, module: object) -> bool:
        top, file = name.partition(".")[0], getattr(module, "__file__", None) or ""
        if top in _KEPT or not file or file.startswith(_INSTALLED):
            return False
        return self._finders[0].find_spec(top) is not None


class _Finder(MetaPathFinder):
    """Finds modules in one folder: regular ones, or folders of modules (namespace packages)."""

    def __init__(self, folder: Path, packages: bool) -> None:
        self.folder, self.packages = folder, packages

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if path is not None:  # a part of a package, which tells where it is
            return None
        place = self.folder / name
        if self.packages:
            if not place.is_dir():
                return None
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        if (place / "__init__.py").is_file():
            file, inside = place / "__init__.py", [str(place)]
        elif (self.folder / f"{name}.py").is_file():
            file, inside = self.folder / f"{name}.py", None
        else:
            return None
        return spec_from_file_location(
            name, file, loader=_AsItStands(name, str(file)), submodule_search_locations=inside
        )


#: What modules of users' files are called in `sys.modules`, up to the name of the file.
_PREFIX = "murine_user_"

#: Modules that no neighbour replaces.
_KEPT = {"murine", "__main__", "__mp_main__", *sys.stdlib_module_names}
_INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib", "stdlib", "platstdlib"))


@contextmanager
def _neighbours(file: Path) -> Iterator[_Neighbours]:
    neighbours = _Neighbours(file.parent)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a cache would be stale within a second
    neighbours.enter()
    try:
        yield neighbours
    finally:
        neighbours.leave()
        sys.dont_write_bytecode = writes
