"""The software that computes results: murine itself, the packages it uses, and plug-ins."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from murine.registry import plug_ins

#: Packages whose versions may change networks or scores.
PACKAGES = ("numpy", "scipy", "torch", "torchvision", "timm", "safetensors", "pillow", "numba", "scikit-learn")


@cache
def program_state() -> list[Any]:
    """Return the state of the software: murine's files with sizes and times, versions of packages, and plug-ins.

    Examples
    --------
    >>> files, packages, plug_ins, python = program_state()
    >>> sorted(packages)[:3]
    ['numba', 'numpy', 'pillow']
    """
    root = Path(__file__).resolve().parents[1]  # of the whole package murine
    files = sorted(f for f in root.rglob("*") if f.suffix in (".py", ".csv"))
    stats = [(str(file.relative_to(root)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return [stats, {name: _installed(name) for name in PACKAGES}, plug_ins(), platform.python_version()]


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@cache
def software_versions() -> dict[str, str]:
    """Return what has to be the same on machines that share a sweep: versions of packages, and a hash of murine's code.

    Examples
    --------
    >>> sorted(software_versions())[:3]
    ['code of murine', 'murine', 'numba']
    """
    root = Path(__file__).resolve().parents[1]
    content = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        content.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    versions = {name: _installed(name) for name in ("murine", *PACKAGES)}
    major, minor, _ = platform.python_version_tuple()
    return {**versions, "python": f"{major}.{minor}", "code of murine": content.hexdigest()[:12]}
