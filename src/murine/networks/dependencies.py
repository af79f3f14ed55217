"""Dependencies of a network: the files and environment variables that it is built from.

A network in a user's file may read other files. Accesses by Python and by safetensors are observed. If a file uses
anything that cannot be observed, or random numbers without a seed, the observation is marked as incomplete.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import stat
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from murine.errors import reason_of
from murine.io.fingerprints import ABSENT, Fingerprint, fingerprint
from murine.networks.spec import controls, is_user_file, name_length

#: Packages whose file accesses are observed.
_SEEN = frozenset(
    {"torch", "torchvision", "timm", "numpy", "PIL", "safetensors", "einops", "murine", "typing_extensions"}
)

#: Modules of the standard library whose results cannot be observed or are never the same twice.
_UNSEEN = frozenset(
    {
        *("ctypes", "sqlite3", "dbm", "multiprocessing", "subprocess", "socket", "urllib", "http", "ssl", "mmap"),
        *("random", "secrets", "uuid", "time", "datetime", "importlib", "runpy", "platform", "getpass", "pickle"),
    }
)

#: Names and attributes in a file that have the same effect.
_UNSEEN_NAMES = frozenset({"__import__", "exec", "eval", "compile"})
_UNSEEN_ATTRIBUTES = frozenset({"random", "urandom", "hub", "from_file", "from_buffer"})

#: Audit events of the interpreter for anything other than files.
_UNSEEN_EVENTS = (
    *("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty"),
    *("os.posix_spawn", "sqlite3.connect", "ctypes.dlsym", "urllib.Request"),
)


@dataclass
class Observation:
    """The observed dependencies.

    Attributes
    ----------
    files
        Fingerprints of the files that were opened or searched, and of the folders that were listed, by path.
    environment
        Environment variables that were read; None for those that are not set.
    gaps
        What may have been missed: files that changed, Python files that use something unobservable, audit events.
    """

    files: dict[str, Fingerprint] = field(default_factory=dict)
    environment: dict[str, str | None] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    _loaded: frozenset[str] = field(default=frozenset(), repr=False)
    _adding: bool = field(default=False, repr=False)

    @property
    def complete(self) -> bool:
        """Whether all dependencies were observed."""
        return not self.gaps

    def holds(self) -> bool:
        """Return whether all files and variables are unchanged."""
        return all(os.environ.get(name) == value for name, value in self.environment.items()) and all(
            fingerprint(path) == tuple(before) for path, before in self.files.items()
        )

    def _add(self, path: Any) -> None:
        if self._adding:
            return  # an access by the observation itself
        try:
            name = os.path.abspath(os.fsdecode(path))
        except (TypeError, ValueError):
            return  # a descriptor of an open file
        self._adding = True
        try:
            if os.sep + "__pycache__" + os.sep in name:  # compiled code that Python uses instead of the source
                with suppress(ValueError):
                    self._add_name(importlib.util.source_from_cache(name))
            else:
                self._add_name(name)
        finally:
            self._adding = False

    def _add_name(self, name: str) -> None:
        if name.startswith(_INSTALLED) or name.startswith(("/proc/", "/sys/", "/dev/")):
            return  # identified by the versions of packages, or not a file
        if name in self._loaded:
            return  # read again for its text, for example for a warning
        found = fingerprint(name)
        if found is None or self.files.get(name, found) != found:
            self.gaps.append(name)
        else:
            self.files[name] = found

    def _check_sources(self) -> None:
        """Search the Python files for anything that cannot be observed."""
        sources = [Path(name) for name, found in self.files.items() if name.endswith(".py") and found != ABSENT]
        local = {path.stem for path in sources} | {path.parent.name for path in sources}
        for path in sources:
            if path.is_file() and not _is_seen(path, local):
                self.gaps.append(str(path))


_observing: list[Observation] = []
_hooked: list[bool] = []

_INSTALLED = tuple(
    f"{place}{os.sep}"
    for place in {
        *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
        str(Path(__file__).resolve().parents[1]),
    }
)


#: Packages with unobservable actions at import. They are imported before an observation.
_BUSY = ("timm", "torchvision")


def busy_packages(name: str) -> tuple[str, ...]:
    """Return which of the packages with a slow import a network of this name needs."""
    if name in controls:
        return ()
    if not is_user_file(name):
        return _BUSY
    try:
        source = Path(name[: name_length(name) - 1]).read_bytes()
    except OSError:  # reported when the network is built
        return ()
    return tuple(p for p in _BUSY if re.search(rf"^\s*(import|from)\b.*\b{p}\b".encode(), source, re.MULTILINE))


@contextmanager
def observation(packages: Sequence[str] = _BUSY) -> Iterator[Observation]:
    """Observe the dependencies of a block of code. Only one block of a process at a time is observed completely.

    Parameters
    ----------
    packages
        Packages to import first, because their own accesses at import belong to no network.
    """
    for package in packages:
        importlib.import_module(package)
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    seen = Observation(_loaded=frozenset(file for file in files if file))
    if not _hooked:
        sys.addaudithook(_hook)  # audit hooks cannot be removed
        _hooked.append(True)
    _observing.append(seen)
    try:
        with ExitStack() as stack:
            for target, name, wrap in _wrapped(seen):
                original = getattr(target, name)
                setattr(target, name, wrap(original))
                stack.callback(setattr, target, name, original)
            yield seen
    finally:
        _observing.remove(seen)
    try:
        seen._check_sources()
    except (OSError, ValueError, SyntaxError, RecursionError) as error:
        seen.gaps.append(reason_of(error))


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _observing:
        return
    if event == "os.listdir" and sys._getframe(1).f_code.co_filename.startswith("<frozen importlib"):
        return  # the import system; it opens the files that it uses
    if event in ("open", "os.listdir", "os.scandir"):
        for seen in _observing:
            seen._add("." if arguments[0] is None else arguments[0])
    elif event in _UNSEEN_EVENTS:
        for seen in _observing:
            seen.gaps.append(event)


def _wrapped(seen: Observation) -> list[tuple[Any, str, Callable[[Any], Any]]]:
    """Return wrappers for functions whose accesses the interpreter does not report."""
    import safetensors
    import safetensors.torch

    def of_path(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Any, *args: Any, **kwargs: Any) -> Any:
            seen._add(path)
            return function(path, *args, **kwargs)

        return wrapped

    def of_place(function: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def wrapped(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
            try:
                found = function(path, *args, **kwargs)
            except OSError:
                seen._add(path)
                raise
            if not stat.S_ISDIR(found.st_mode):  # the content of a folder does not matter here
                seen._add(path)
            return found

        return wrapped

    def of_variable(function: Callable[[Any, str], str]) -> Callable[[Any, str], str]:
        def wrapped(self: Any, name: str) -> str:
            text = os.fsdecode(name)  # os.environb reads the same variables
            try:
                value = function(self, name)
            except KeyError:
                seen.environment[text] = None
                raise
            seen.environment[text] = os.fsdecode(value)
            return value

        return wrapped

    return [
        (os, "stat", of_place),
        (safetensors, "safe_open", of_path),
        (safetensors.torch, "safe_open", of_path),
        (type(os.environ), "__getitem__", of_variable),
    ]


def _is_seen(path: Path, local: set[str]) -> bool:
    """Return whether everything that a Python file uses can be observed."""
    allowed = (set(sys.stdlib_module_names) - _UNSEEN) | _SEEN | local
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [] if node.level else [node.module or ""]
        else:
            if isinstance(node, ast.Attribute) and node.attr in _UNSEEN_ATTRIBUTES:
                return False
            if isinstance(node, ast.Name) and node.id in _UNSEEN_NAMES:
                return False
            continue
        if not all(name.partition(".")[0] in allowed for name in names):
            return False
    return True
