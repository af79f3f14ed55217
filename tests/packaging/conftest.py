"""A wheel and a source archive of this checkout, built once."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from wheels import build_wheel, run_checked

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def package_files() -> set[str]:
    """Files of the package as git knows them, as they are named inside a wheel."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout: the list of files comes from git")
    listed = run_checked("git", "ls-files", "--", "src/murine", folder=ROOT)
    return {line.removeprefix("src/") for line in listed.splitlines()}


@pytest.fixture(scope="session")
def source_tree(package_files, tmp_path_factory) -> Path:
    """A copy to build from, because a build writes beside its sources; with caches, which no wheel may have."""
    tree = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in package_files:
        (tree / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "src" / name, tree / "src" / name)
    for folder in ("", "networks/", "networks/tables/"):
        cache = tree / "src/murine" / folder / "__pycache__"
        cache.mkdir()
        (cache / "left.cpython-311.pyc").touch()
        (cache / "left.compiled-1.nbi").touch()
    return tree


@pytest.fixture(scope="session")
def wheel(source_tree, tmp_path_factory) -> Path:
    """The wheel of the checkout."""
    return build_wheel(source_tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def source_archive(source_tree, tmp_path_factory) -> Path:
    """The source archive (sdist) of the checkout."""
    out = tmp_path_factory.mktemp("sdist")
    code = f"from setuptools.build_meta import build_sdist; build_sdist({str(out)!r})"
    run_checked(sys.executable, "-c", code, folder=source_tree)
    (made,) = out.glob("*.tar.gz")
    return made
