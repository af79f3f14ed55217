"""Commands that care for an atlas, and tell where a result is from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from murine.cli.common import quieten
from murine.cli.options import AtlasOption, QuietOption

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Care for an atlas: check, repair, merge, export, and remove what is of no use.",
)
why_app = typer.Typer()


@app.command()
def check(atlas: AtlasOption = Path("atlas"), quiet: QuietOption = False) -> None:
    """Read every file, and name those that are damaged, foreign or of another version. Exit code 1 if there are some.

    Example: `murine atlas check --atlas atlas`
    """
    from murine.atlas.maintenance import check_atlas
    from murine.atlas.store import Atlas

    quieten(quiet)
    problems = check_atlas(Atlas(atlas))
    for problem in problems:
        print(f"{problem.kind}: {problem.file}: {problem.reason}.")
    if problems:
        if any(problem.kind == "damaged" for problem in problems):
            _tell(
                quiet,
                f"damaged files count as not there. `murine atlas repair --atlas {atlas}` moves them away, and the "
                "command that made a result makes it again.",
            )
        if any(problem.kind == "other version" for problem in problems):
            _tell(quiet, "results of other versions are never ranked with those of this one.")
        raise typer.Exit(1)
    _tell(quiet, "all files are intact.")


@app.command()
def repair(atlas: AtlasOption = Path("atlas"), quiet: QuietOption = False) -> None:
    """Move damaged files into the folder damaged/ of the atlas. Nothing is deleted.

    Example: `murine atlas repair --atlas atlas`
    """
    from murine.atlas.maintenance import repair_atlas
    from murine.atlas.store import Atlas

    quieten(quiet)
    moved = repair_atlas(Atlas(atlas))
    for file in moved:
        print(file)
    _tell(quiet, f"{len(moved)} damaged files were moved away.")


@app.command()
def merge(
    others: Annotated[list[Path], typer.Argument(metavar="OTHER...", help="Folders of other atlases.")],
    atlas: AtlasOption = Path("atlas"),
    quiet: QuietOption = False,
) -> None:
    """Take the results and kernels of other atlases. The order does not matter: the files are the same.

    Damaged files, those of other versions, and other numbers for the same configuration are refused by name, and the
    rest is taken. Exit code 1 if something was refused.

    Example: `murine atlas merge ../lab-a/atlas ../lab-b/atlas --atlas both`
    """
    from murine.atlas.maintenance import merge_atlases
    from murine.atlas.store import Atlas

    quieten(quiet)
    report = merge_atlases(Atlas(atlas), [Atlas(other) for other in others])
    _tell(quiet, f"{report.copied} files taken, {report.same} there before, {len(report.refused)} refused.")
    if report.refused:
        for file, reason in report.refused.items():
            print(f"refused: {file}: {reason}.", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def gc(
    atlas: AtlasOption = Path("atlas"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only name the files.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Delete what killed processes left, and kernels that no result was computed from.

    Example: `murine atlas gc --dry-run`
    """
    from murine.atlas.maintenance import leftovers
    from murine.atlas.store import Atlas

    quieten(quiet)
    found = leftovers(Atlas(atlas))
    size = found.n_bytes
    for file in found.files:
        print(file)
        if not dry_run:
            file.unlink(missing_ok=True)
    told = "would be deleted" if dry_run else "were deleted"
    _tell(
        quiet, f"{len(found.temporary)} temporary files and {len(found.kernels)} kernels ({size / 1e6:.1f} MB) {told}."
    )


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="File to write: .parquet or .csv.")],
    atlas: AtlasOption = Path("atlas"),
    table: Annotated[
        str, typer.Option("--table", help="scores, matches, maps, generalization or masquerade.")
    ] = "scores",
    quiet: QuietOption = False,
) -> None:
    """Write all rows of a table into one file that R and pandas read, without bootstrap draws.

    docs/reference/tables.md describes the columns.

    Example: `murine atlas export scores.csv`
    """
    from murine.atlas.maintenance import export_rows
    from murine.atlas.store import Atlas

    quieten(quiet)
    n = export_rows(Atlas(atlas), file, table=table)
    _tell(quiet, f"{n} rows are in {file}.")


@why_app.command()
def why(
    digest: Annotated[str, typer.Argument(metavar="HASH", help="Digest of a result, or its first letters.")],
    atlas: AtlasOption = Path("atlas"),
) -> None:
    """Print how a result was computed: its configuration, and the versions of the software.

    The digest is in the column task of `murine results --view sites --format csv`, and it is the name of the file.

    Example: `murine why 5f9c69598fe4`
    """
    from murine.atlas.store import Atlas

    for part, content in Atlas(atlas).about(digest).items():
        print(f"{part}:")
        _print_nested(content, "  ")


def _print_nested(content: dict[str, Any], indent: str) -> None:
    for key, value in content.items():
        if isinstance(value, dict):
            print(f"{indent}{key}:")
            _print_nested(value, indent + "  ")
        else:
            print(f"{indent}{key}: {value if isinstance(value, str) else json.dumps(value)}")


def _tell(quiet: bool, text: str) -> None:
    if not quiet:
        print(text, file=sys.stderr)
