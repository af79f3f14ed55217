"""Write docs/reference/python.md from the public names of murine and of its rooms.

    python tools/write_python_page.py            # writes the page
    python tools/write_python_page.py --check    # exit code 1 if the page is out of date

A room's public names are its `__all__`. They are written down because the builder of the pages reads source files and
does not run them, and most rooms import their names on first use."""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import ismodule
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reference/python.md"
SOURCE = ROOT / "src/murine"

HEAD = """# Python

The public names of murine and of its rooms. Names that are not on this page may change without notice.
`tools/write_python_page.py` makes this page; do not edit it.
"""


def rooms() -> list[str]:
    """The packages of murine that have public names, murine itself first."""
    folders = sorted(file.parent.name for file in SOURCE.glob("*/__init__.py"))
    names = ["murine", *(f"murine.{name}" for name in folders if name != "cli")]
    return [name for name in names if public_names(name)]


def public_names(package: str) -> list[str]:
    """The names in `__all__` that have a description of their own: no rooms, no version."""
    module = import_module(package)
    names = getattr(module, "__all__", [])
    return [name for name in names if not name.startswith("__") and not ismodule(getattr(module, name))]


def page() -> str:
    """The whole page."""
    entries = [f"\n::: {room}\n    options:\n      members: [{', '.join(public_names(room))}]\n" for room in rooms()]
    return HEAD + "".join(entries)


def main() -> int:
    wanted = page()
    if "--check" in sys.argv[1:]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        print(f"{PAGE} is out of date: run `make docs`", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
