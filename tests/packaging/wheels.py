"""Build wheels, and run programs whose failure must be readable."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path


def run_checked(*arguments: object, folder: Path, **options: object) -> str:
    """Run a program and return what it printed; where it fails, show what it said."""
    done = subprocess.run([str(a) for a in arguments], cwd=folder, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{done.args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(source: Path, out: Path) -> Path:
    """Build a wheel of a folder or a source archive, without the network."""
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    run_checked(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", out, source, folder=source.parent)
    (made,) = out.glob("*.whl")
    return made


def scripts_and_packages(environment: Path) -> tuple[Path, Path]:
    """The folders of programs and of packages of a virtual environment."""
    places = {"base": str(environment), "platbase": str(environment)}
    scripts, packages = (sysconfig.get_path(kind, "venv", vars=places) for kind in ("scripts", "purelib"))
    return Path(scripts), Path(packages)
