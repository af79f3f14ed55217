"""Observation: which files, environment variables and other things a network is made from.

A network of a user's file may read others. What Python opens or asks the system for is seen, and what safetensors
opens; where a file uses anything whose sources cannot be seen, or draws numbers nobody has seeded, that is told."""

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

#: Packages that open files where Python sees it, or whose opening is seen here.
_SEEN = frozenset(
    {"torch", "torchvision", "timm", "numpy", "PIL", "safetensors", "einops", "murine", "typing_extensions"}
)

#: Modules of the standard library that bring in what cannot be seen, or is never twice the same.
_UNSEEN = frozenset(
    {
        *("ctypes", "sqlite3", "dbm", "multiprocessing", "subprocess", "socket", "urllib", "http", "ssl", "mmap"),
        *("random", "secrets", "uuid", "time", "datetime", "importlib", "runpy", "platform", "getpass", "pickle"),
    }
)

#: Names and attributes in a file with the same meaning.
_UNSEEN_NAMES = frozenset({"__import__", "exec", "eval", "compile"})
_UNSEEN_ATTRIBUTES = frozenset({"random", "urandom", "hub", "from_file", "from_buffer"})

#: What the interpreter reports when a program goes beyond files.
_UNSEEN_EVENTS = (
    *("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty"),
    *("os.posix_spawn", "sqlite3.connect", "ctypes.dlsym", "urllib.Request"),
)


@dataclass
class Observation:
    """What was seen.

    Attributes
    ----------
    files
        Fingerprints of the files that were opened or looked for, and of folders that were listed, by path.
    environment
        Variables that were asked for; None for those that are not set.
    gaps
        What may have been missed: files that changed, files of Python code that use what cannot be seen, events.
    """

    files: dict[str, Fingerprint] = field(default_factory=dict)
    environment: dict[str, str | None] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    _loaded: frozenset[str] = field(default=frozenset(), repr=False)
    _adding: bool = field(default=False, repr=False)

    @property
    def complete(self) -> bool:
        """Whether this is all that the network is made from."""
        return not self.gaps

    def holds(self) -> bool:
        """Whether everything is as it was."""
        return all(os.environ.get(name) == value for name, value in self.environment.items()) and all(
            fingerprint(path) == tuple(before) for path, before in self.files.items()
        )

    def _add(self, path: Any) -> None:
        if self._adding:
            return  # this is us
        try:
            name = os.path.abspath(os.fsdecode(path))
        except (TypeError, ValueError):
            return  # a file that is open already
        self._adding = True
        try:
            if os.sep + "__pycache__" + os.sep in name:  # what Python reads, or writes, instead of the source
                with suppress(ValueError):
                    self._add_name(importlib.util.source_from_cache(name))
            else:
                self._add_name(name)
        finally:
            self._adding = False

    def _add_name(self, name: str) -> None:
        if name.startswith(_INSTALLED) or name.startswith(("/proc/", "/sys/", "/dev/")):
            return  # known by the versions of packages; no files
        if name in self._loaded:
            return  # read again for its text, as for a warning; what a network imports of it, `_is_seen` refuses
        found = fingerprint(name)
        if found is None or self.files.get(name, found) != found:
            self.gaps.append(name)
        else:
            self.files[name] = found

    def _check_sources(self) -> None:
        """Look through the files of Python code for what cannot be seen."""
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


#: Packages that do more at their import than is seen: they are imported before a network is observed.
_BUSY = ("timm", "torchvision")


def busy_packages(name: str) -> tuple[str, ...]:
    """Return which of the packages that take seconds to import a network of this name needs."""
    if name in controls:
        return ()
    if not is_user_file(name):
        return _BUSY
    try:
        source = Path(name[: name_length(name) - 1]).read_bytes()
    except OSError:  # whoever builds it tells
        return ()
    return tuple(p for p in _BUSY if re.search(rf"^\s*(import|from)\b.*\b{p}\b".encode(), source, re.MULTILINE))


@contextmanager
def observation(packages: Sequence[str] = _BUSY) -> Iterator[Observation]:
    """Observe what the block does. Only one block of a process at a time sees all.

    Parameters
    ----------
    packages
        Imported first: what they do at their import belongs to no network.
    """
    for package in packages:
        importlib.import_module(package)
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    seen = Observation(_loaded=frozenset(file for file in files if file))
    if not _hooked:
        sys.addaudithook(_hook)  # for good: there is no way to take it back
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
        return  # the import system, which opens what it finds
    if event in ("open", "os.listdir", "os.scandir"):
        for seen in _observing:
            seen._add("." if arguments[0] is None else arguments[0])
    elif event in _UNSEEN_EVENTS:
        for seen in _observing:
            seen.gaps.append(event)


def _wrapped(seen: Observation) -> list[tuple[Any, str, Callable[[Any], Any]]]:
    """What is put around functions that the interpreter does not report."""
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
            if not stat.S_ISDIR(found.st_mode):  # of a folder, only that it is there
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
    """Whether all that a file of Python code uses is seen."""
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
