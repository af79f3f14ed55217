"""Pictures that commands write: names that cannot be written are refused first."""

from __future__ import annotations

import sys
from pathlib import Path


def check_pictures(*files: Path | None) -> None:
    """Refuse names of pictures that cannot be written, before anything is computed."""
    given = [file for file in files if file is not None]
    if given:  # or Matplotlib is imported for nothing
        from murine.report.architectures import check_ending

        for file in given:
            check_ending(file)


def tell_picture(file: Path, quiet: bool) -> None:
    """Tell where a picture is."""
    if not quiet:
        print(f"the picture is in {file}", file=sys.stderr)
