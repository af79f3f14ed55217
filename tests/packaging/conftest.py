"""A wheel and a source archive of this checkout, built once."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from wheels import build_wheel, run_checked, scripts_and_packages

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


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel: it sees the packages that murine needs, and neither the checkout nor its tests."""
    environment = tmp_path_factory.mktemp("environment")
    run_checked(sys.executable, "-m", "venv", "--without-pip", environment, folder=environment)
    scripts, packages = scripts_and_packages(environment)
    # Folders named in a .pth file are searched, but .pth files inside them are not read: an editable murine that one
    # of those points to is not found.
    dependencies = [folder for folder in sys.path if Path(folder).name in ("site-packages", "dist-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies), encoding="utf-8")
    offline = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet", "--no-compile")
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python", "install", *offline)
    run_checked(*pip, wheel, folder=environment)
    return scripts
