"""Care of an atlas: find damaged files, merge atlases of several labs, remove what is of no use, export.

Everything works on whole files, which appear by renaming, so that others may read and write the atlas meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from murine.atlas.checksums import defect, seal_of
from murine.atlas.content import rows_digest
from murine.atlas.identity import CAPTURE_METHOD, SCORE_METHOD, UNITS_METHOD, CaptureTask, MapTask, MatchTask, ScoreTask
from murine.atlas.tables import TABLES
from murine.errors import MurineError
from murine.io.files import atomic_write, read_npz
from murine.io.temporary import abandoned_files

if TYPE_CHECKING:
    from murine.atlas.store import Atlas

#: Folders of sealed files with the endings of their names.
FOLDERS = {**dict.fromkeys(TABLES, ".parquet"), "kernels": ".npz"}

#: Tables whose configuration is compared with the name of the file: its model, and the method of this version.
_MODELS: dict[str, tuple[Any, int]] = {
    "scores": (ScoreTask, SCORE_METHOD),
    "matches": (MatchTask, UNITS_METHOD),
    "maps": (MapTask, UNITS_METHOD),
}

#: Where `repair_atlas` puts files that cannot be trusted.
DAMAGED = "damaged"


@dataclass(frozen=True)
class Problem:
    """A file that needs attention.

    Attributes
    ----------
    file
        The file.
    kind
        ``damaged``: it cannot be trusted, and counts as not there; ``other version``: it was computed by another
        version of the method, and is never ranked with rows of this one.
    reason
        What is wrong.
    """

    file: Path
    kind: str
    reason: str


@dataclass
class MergeReport:
    """What `merge_atlases` did.

    Attributes
    ----------
    copied, same
        Numbers of files that were taken, and of files that were there already with the same content.
    refused
        Files that were not taken, with reasons.
    """

    copied: int = 0
    same: int = 0
    refused: dict[Path, str] = field(default_factory=dict)


def check_atlas(atlas: Atlas) -> list[Problem]:
    """Read every file of an atlas, and return those that are damaged, foreign, or of another version.

    Examples
    --------
    >>> from murine.atlas.store import Atlas
    >>> check_atlas(Atlas("no-such-atlas"))
    []
    """
    found = ((file, _problem(file)) for file in _files(atlas.folder))
    return [problem for _, problem in found if problem is not None]


def repair_atlas(atlas: Atlas) -> list[Path]:
    """Move damaged files into the folder ``damaged`` of the atlas; return where they are now. Nothing is deleted.

    The command that made a result makes it again.

    Raises
    ------
    MurineError
        If a file cannot be moved.

    Examples
    --------
    >>> from murine.atlas.store import Atlas
    >>> repair_atlas(Atlas("no-such-atlas"))
    []
    """
    moved = []
    for problem in check_atlas(atlas):
        if problem.kind != "damaged":
            continue
        target = atlas.folder / DAMAGED / problem.file.parent.name / problem.file.name
        number = 0
        while target.exists():  # damaged before
            number += 1
            target = target.with_name(f"{problem.file.stem}-{number}{problem.file.suffix}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            problem.file.rename(target)
        except OSError as error:
            raise MurineError(f"{str(problem.file)!r} could not be moved: {error.strerror}.") from error
        moved.append(target)
    return moved


def merge_atlases(atlas: Atlas, others: Sequence[Atlas]) -> MergeReport:
    """Take the results and kernels of other atlases. In whatever order atlases are merged, the files are the same.

    Where two atlases hold the same rows with other provenance, the file whose checksum is smaller is kept. Files that
    are damaged, foreign, of another version, or that give other numbers for the same configuration are refused; the
    others are taken.

    Raises
    ------
    MurineError
        If another atlas does not exist, or a file cannot be written.
    """
    report = MergeReport()
    for other in others:
        if not other.folder.is_dir():
            raise MurineError(f"there is no atlas {str(other.folder)!r}.")
        for file in _files(other.folder):
            if (problem := _problem(file)) is not None:
                report.refused[file] = problem.reason
            else:
                _take(file, atlas.folder / file.parent.name / file.name, report)
    return report


def _take(file: Path, target: Path, report: MergeReport) -> None:
    """Copy one intact file, unless the target is as good."""
    content = file.read_bytes()
    there = _intact(target)
    if there == content:
        report.same += 1
        return
    if there is not None:
        if not _same_rows(file, target):
            report.refused[file] = (
                f"{str(target)!r} has other numbers for the same configuration. `murine why {file.stem}` tells both "
                "origins; delete the wrong one"
            )
            return
        if seal_of(target) <= seal_of(file):
            report.same += 1
            return
    with atomic_write(target) as partial:
        partial.write_bytes(content)
    report.copied += 1


def _intact(file: Path) -> bytes | None:
    """Return the content of a file; None if it is missing or damaged."""
    try:
        return None if defect(file) else file.read_bytes()
    except FileNotFoundError:
        return None


def _same_rows(a: Path, b: Path) -> bool:
    if a.suffix == ".npz":
        one, two = read_npz(a), read_npz(b)
        return one.keys() == two.keys() and all(one[name].tobytes() == two[name].tobytes() for name in one)
    import pyarrow.parquet as pq

    return rows_digest(pq.ParquetFile(a).read()) == rows_digest(pq.ParquetFile(b).read())


@dataclass(frozen=True)
class Leftovers:
    """Files of an atlas that are of no use.

    Attributes
    ----------
    temporary
        What killed processes left.
    kernels
        Kernels of networks that no result was computed from.
    """

    temporary: tuple[Path, ...]
    kernels: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return self.temporary + self.kernels

    @property
    def n_bytes(self) -> int:
        """Their size together."""
        return sum(file.stat().st_size for file in self.files if file.exists())


def leftovers(atlas: Atlas) -> Leftovers:
    """Return the files of an atlas that are of no use. Nothing is deleted.

    Examples
    --------
    >>> from murine.atlas.store import Atlas
    >>> leftovers(Atlas("no-such-atlas")).files
    ()
    """
    folders = [folder for folder in atlas.folder.glob("*") if folder.is_dir()]
    temporary = [file for folder in folders for file in abandoned_files(folder)]
    used = set()
    for file in _sealed(atlas.folder / "scores", ".parquet"):
        if not defect(file):
            used.add(CaptureTask.model_validate(_configuration(file)["capture"]).digest)
    kernels = [file for file in _sealed(atlas.folder / "kernels", ".npz") if file.stem not in used]
    return Leftovers(tuple(temporary), tuple(kernels))


def export_rows(atlas: Atlas, file: Path, *, table: str = "scores") -> int:
    """Write all rows of a table into one Parquet or CSV file, which R and pandas read; return their number.

    Bootstrap draws, which are lists, are left out. The columns are described in docs/reference/tables.md. Rows are
    sorted, so the same results give the same file.

    Raises
    ------
    MurineError
        If there are no such rows, the name ends in neither .parquet nor .csv, or the file cannot be written.
    """
    from murine.atlas.tables import DRAWS

    if table not in TABLES:
        raise MurineError(f"there is no table {table!r}; expected {', '.join(TABLES)}.")
    if file.suffix not in (".parquet", ".csv"):
        raise MurineError(f"{str(file)!r} ends in {file.suffix or 'nothing'!r}; expected .parquet or .csv.")
    left_out = f"EXCLUDE ({', '.join(DRAWS)})" if table == "scores" else ""
    rows = atlas.query(f"SELECT * {left_out} FROM {table} ORDER BY ALL")
    with atomic_write(file) as partial:
        if file.suffix == ".csv":
            rows.to_csv(partial, index=False)
        else:
            rows.to_parquet(partial, index=False)
    return len(rows)


def _files(folder: Path) -> Iterator[Path]:
    for name, ending in FOLDERS.items():
        yield from _sealed(folder / name, ending)


def _sealed(folder: Path, ending: str) -> list[Path]:
    # What begins with a point belongs to somebody else, or is not finished.
    return sorted(folder.glob(f"[!.]*{ending}"))


def _problem(file: Path) -> Problem | None:
    try:
        reason = defect(file)
    except FileNotFoundError:
        return None  # somebody has removed it just now
    if reason:
        return Problem(file, "damaged", reason)
    if file.parent.name == "kernels" or file.parent.name not in _MODELS:
        return None
    model, method = _MODELS[file.parent.name]
    about = _configuration(file)
    if about.get("method") != method:
        return Problem(
            file, "other version", f"it is of version {about.get('method')} of the method; this murine has {method}"
        )
    if (captured := about.get("capture", {}).get("method", CAPTURE_METHOD)) != CAPTURE_METHOD:
        return Problem(
            file, "other version", f"its kernels are of version {captured}; this murine captures by {CAPTURE_METHOD}"
        )
    try:
        digest = model.model_validate(about).digest
    except ValueError:
        return Problem(file, "damaged", "its configuration cannot be read")
    if digest != file.stem:
        return Problem(file, "damaged", f"its configuration is that of another result, {digest}")
    return None


def _configuration(file: Path) -> dict[str, Any]:
    """Return the configuration in a file whose seal is valid."""
    import pyarrow.parquet as pq

    about = pq.read_schema(file).metadata or {}
    found: dict[str, Any] = json.loads(about.get(b"murine.task", b"{}"))
    return found
