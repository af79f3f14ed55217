"""Import a Python file of the user, together with the modules in its folder that it imports.

The file runs as it is on disk now, without Python's cache of compiled files. Its folder is not added to the import
path: the modules in it are known by their names only while the file is at work.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from torch import nn

#: Start of the names of users' files in `sys.modules`.
_PREFIX = "murine_user_"

#: Packages that modules of the user's folder never replace.
_KEPT = {"murine", "__main__", "__mp_main__", *sys.stdlib_module_names}
_INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib", "stdlib", "platstdlib"))


def module_of_file(file: Path) -> tuple[ModuleType, SourceFileLoader]:
    """Return an empty module for a file, registered in `sys.modules`, and the loader that runs the file in it."""
    place = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]  # two files of one name are two modules
    loader = _UncachedLoader(f"{_PREFIX}{file.stem}_{place}", str(file))
    spec = ModuleSpec(loader.name, loader, origin=loader.path)
    spec.has_location = True
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module there
    return module, loader


class _UncachedLoader(SourceFileLoader):
    """Runs a file as it is on disk now.

    Python's cache of compiled files compares size and whole seconds only, so it may be stale, and a full disk may leave
    half a file in it.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


class FolderModules:
    """The modules that a user's file imports from its own folder, as a Python script does.

    They are in `sys.modules` only while the file is at work, because a `helper` in another folder is another module.
    The folder is never listed: a new file in it then does not count as a change of the network
    (`murine.networks.dependencies`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.modules: dict[str, Any] = {}
        self._aside: dict[str, Any] = {}
        self._others: set[str] = set()
        self._finders = _Finder(self.folder, packages=False), _Finder(self.folder, packages=True)

    def enter(self) -> None:
        # Take out modules from elsewhere with the same names. Python's own and installed modules stay.
        self._aside = {name: module for name, module in sys.modules.items() if self._is_in_the_way(name, module)}
        for name in self._aside:
            del sys.modules[name]
        self._others = set(sys.modules)
        sys.modules.update(self.modules)
        # Folders without __init__.py come last, as in Python's own import.
        sys.meta_path[:] = [self._finders[0], *sys.meta_path, self._finders[1]]

    def leave(self) -> None:
        self.note()
        for name in self.modules:
            sys.modules.pop(name, None)
        sys.modules.update(self._aside)
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in self._finders]

    def note(self) -> None:
        """Remember the modules that have been imported from the folder."""
        self.modules |= {name: sys.modules[name] for name in set(sys.modules) - self._others if self._is_here(name)}

    def follow(self, module: nn.Module) -> None:
        """Let a network import modules of the folder also while it runs."""
        if self.modules and hasattr(module, "register_forward_pre_hook"):
            module.register_forward_pre_hook(lambda *_: self.enter())
            module.register_forward_hook(lambda *_: self.leave(), always_call=True)

    @property
    def source(self) -> bytes:
        """Names and content of the files of all these modules."""
        files = sorted({(name, getattr(module, "__file__", None) or "") for name, module in self.modules.items()})
        return b"".join(name.encode() + b"\0" + Path(file).read_bytes() for name, file in files if file.endswith(".py"))

    def _is_here(self, name: str) -> bool:
        """Return whether a module, or its package, lies in the folder."""
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
    """Finds the modules and packages of one folder, or its namespace packages (folders without ``__init__.py``)."""

    def __init__(self, folder: Path, packages: bool) -> None:
        self.folder, self.packages = folder, packages

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if path is not None:  # a part of a package, which says where its parts are
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
            name, file, loader=_UncachedLoader(name, str(file)), submodule_search_locations=inside
        )


@contextmanager
def folder_modules(file: Path) -> Iterator[FolderModules]:
    """Let a user's file import the modules of its folder inside this block."""
    modules = FolderModules(file.parent)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a cache may be stale within a second
    modules.enter()
    try:
        yield modules
    finally:
        modules.leave()
        sys.dont_write_bytecode = writes
