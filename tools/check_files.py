"""Check the text of all files in git: blanks at line ends, the last line, conflict markers, and size.

    python tools/check_files.py            # all files that git knows
    python tools/check_files.py FILE...    # these files

Prints one line for each fault; the exit code is 1 if there is one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: No file of this project needs more. Recordings and weights belong in no repository.
MOST_BYTES = 500_000

#: In pieces, or this file would be at fault.
MARKERS = (b"<" * 7 + b" ", b">" * 7 + b" ")


def main(names: Sequence[str]) -> int:
    if not names and not (ROOT / ".git").exists():
        print("files: not checked, because this is no checkout of git")
        return 0
    found = [fault for name in names or _known_to_git() for fault in faults(Path(name))]
    print(*found or ["files: no faults"], sep="\n")
    return int(bool(found))


def faults(file: Path) -> Iterator[str]:
    """What is wrong with a file, one message for each fault; nothing for a folder or a file that is gone."""
    if not file.is_file():
        return
    content = file.read_bytes()
    if len(content) > MOST_BYTES:
        yield f"{file}: {len(content):,} bytes; at most {MOST_BYTES:,} are allowed"
    if b"\0" in content:  # an image or an archive
        return
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.endswith((b" ", b"\t", b"\r")):
            yield f"{file}:{number}: blank or carriage return at the end of the line"
        if line.startswith(MARKERS):
            yield f"{file}:{number}: conflict marker"
    if content and not content.endswith(b"\n"):
        yield f"{file}: no line break at the end"
    if content.endswith(b"\n\n"):
        yield f"{file}: empty lines at the end"


def _known_to_git() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [str(ROOT / name.decode()) for name in listed.split(b"\0") if name]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
