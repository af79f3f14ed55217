"""Print the installed versions of murine's direct dependencies as constraints for pip or uv.

    python tools/lowest_versions.py > lowest.txt

`make test-lowest` installs the oldest versions that pyproject.toml promises to work with, and must not lose them when
it installs the tools of the tests: those get along with these versions, or the installation fails."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def main() -> None:
    dependencies = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    for dependency in dependencies:
        name = re.match(r"[\w.-]+", dependency)[0]
        print(f"{name}=={version(name)}")


if __name__ == "__main__":
    main()
