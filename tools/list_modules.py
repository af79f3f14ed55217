"""Write the list of rooms and modules in ARCHITECTURE.md from the docstrings of the code.

python tools/list_modules.py            # writes it
python tools/list_modules.py --check    # exits with 1 if it is out of date
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from textwrap import shorten

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "murine"
PAGE = ROOT / "ARCHITECTURE.md"
START, END = "<!-- modules: written by tools/list_modules.py -->\n", "<!-- end of modules -->\n"

#: Letters of a line; the width of the column of names.
WIDTH, NAMES = 160, 34


def first_sentence(file: Path) -> str:
    """Return the first paragraph of a module's docstring, up to its first full stop."""
    text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return paragraph.split(". ")[0].removesuffix(".")


def lines(folder: Path, depth: int) -> list[str]:
    """Return a line for each module of a folder, and for each folder in it with its modules."""
    found = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        is_room = path.is_dir() and (path / "__init__.py").exists()
        if not is_room and (path.suffix != ".py" or path.name.startswith("__")):
            continue
        name = "    " * depth + (f"{path.name}/" if is_room else path.name)
        about = first_sentence(path / "__init__.py" if is_room else path)
        line = f"{name:<{NAMES}}{shorten(about, WIDTH - NAMES, placeholder=' ...')}"
        found.append(line.rstrip())  # a room without a docstring
        if is_room:
            found += lines(path, depth + 1)
    return found


def page() -> str:
    """Return ARCHITECTURE.md with the list of today."""
    text = PAGE.read_text("utf-8")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n```\n" + "\n".join(lines(SOURCE, 0)) + f"\n```\n\n{END}{after}"


def main() -> None:
    """Write the page, or check it."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, "utf-8")
    elif text != PAGE.read_text("utf-8"):
        sys.exit("ARCHITECTURE.md does not list the modules as they are; run python tools/list_modules.py")


if __name__ == "__main__":
    main()
