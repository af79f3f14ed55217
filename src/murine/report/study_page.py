"""The page of a study: published numbers beside ours, figures and tables, in one folder."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from murine.io.files import atomic_write
from murine.literature import MARKS
from murine.report.figures import save as save_figure
from murine.report.page_shell import filled, save
from murine.report.study_figures import TWO_COLUMNS, draw
from murine.studies.claim import number_text
from murine.studies.study import FigureSpec, Study, StudyResult

#: Rows of a table on the page; the files have all.
_MAX_ROWS = 200

#: Width of a picture of two columns on the contact sheet, in pixels, and pictures in a row.
_THUMBNAIL, _IN_A_ROW = 900, 2


def write_study(study: Study, result: StudyResult, folder: str | Path, *, about: str = "") -> Path:
    """Write what a study found: a page, its figures as PDF and PNG, and its tables as CSV.

    Parameters
    ----------
    folder
        Made if needed. It gets ``index.html``, ``figures/NAME.pdf`` and ``.png``, ``tables/NAME.csv``,
        ``tables/claims.csv``, and ``contact-sheet.png`` with all figures.
    about
        How it was run, in words.

    Returns
    -------
    page
        ``folder/index.html``, which works offline.

    Raises
    ------
    MurineError
        If a figure cannot be drawn.
    """
    place = Path(folder)
    result.write(place / "tables")
    pictures = {figure.name: _picture(figure, place / "figures") for figure in result.figures}
    if pictures:
        _write_contact_sheet(list(pictures.values()), place / "contact-sheet.png")
    page = filled(
        "study.html.j2",
        study.title,
        study=study,
        about=about,
        notes=result.notes,
        counts=summary(result),
        kinds=[_kind(row) for row in shares_by_kind(result).to_dict("records")],
        marks=MARKS,
        claims=[_claim(row) for row in result.verdicts().to_dict("records")],
        figures=[
            {"name": figure.name, "title": figure.title or figure.name, "picture": _data_address(pictures[figure.name])}
            for figure in result.figures
        ],
        tables=[_table(name, table) for name, table in result.tables.items()],
        meanings=dict(result.columns),
    )
    return save(page, place / "index.html")


def summary(result: StudyResult) -> str:
    """Say how many claims of a study were reproduced, and the share of those that were tested.

    Examples
    --------
    >>> from murine.studies import Claim
    >>> claims = (Claim("Training helps.", "reproduced", "It does.", estimate=0.2), Claim("x", "not tested", "y"))
    >>> summary(StudyResult("mine", {}, {}, claims=claims))
    '1 of 1 tested claims reproduced (100 %); 0 not reproduced, 1 not tested.'
    >>> summary(StudyResult("mine", {}, {}))
    'No claims were tested.'
    """
    counts = Counter(str(claim.verdict) for claim in result.claims)
    good, bad, open_ones = (counts.get(verdict, 0) for verdict in ("reproduced", "not reproduced", "not tested"))
    if not good + bad:
        return f"No claims were tested{f'; {open_ones} could not be' if open_ones else ''}."
    share = f"{100 * good / (good + bad):.0f} %"
    return f"{good} of {good + bad} tested claims reproduced ({share}); {bad} not reproduced, {open_ones} not tested."


def shares_by_kind(result: StudyResult) -> pd.DataFrame:
    """Return how many claims of each kind were reproduced.

    Returns
    -------
    shares
        A row for each kind of claim, in their order: ``kind, reproduced, tested, not_tested`` (numbers of claims) and
        ``share`` (per cent of the tested ones; NaN where none was tested).

    Examples
    --------
    >>> from murine.studies import Claim
    >>> claims = (Claim.beside("VGG16.", 15, 15, 0, kind="score"), Claim("x", "not tested", "y"))
    >>> shares_by_kind(StudyResult("mine", {}, {}, claims=claims)).values.tolist()
    [['score', 1, 1, 0, 100.0], ['statement', 0, 0, 1, nan]]
    """
    rows = []
    for kind in dict.fromkeys(claim.kind for claim in result.claims):
        verdicts = [claim.verdict for claim in result.claims if claim.kind == kind]
        good, tested = verdicts.count("reproduced"), len(verdicts) - verdicts.count("not tested")
        share = 100 * good / tested if tested else float("nan")
        rows.append((kind, good, tested, len(verdicts) - tested, share))
    return pd.DataFrame(rows, columns=["kind", "reproduced", "tested", "not_tested", "share"])


def _picture(figure: FigureSpec, folder: Path) -> Path:
    drawn = draw(figure.kind, figure.rows, figure.title, **figure.options)
    return save_figure(drawn, folder, figure.name)[-1]


def _data_address(picture: Path) -> str:
    """Return a picture of screen size as text that an img element takes."""
    with Image.open(picture) as image:
        image.thumbnail((1800, 4000))
        held = BytesIO()
        image.convert("P", palette=Image.Palette.ADAPTIVE).save(held, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"


def _write_contact_sheet(pictures: Sequence[Path], file: Path) -> None:
    """Write one picture with all figures, small."""
    images = []
    for picture in pictures:
        with Image.open(picture) as image:
            factor = _THUMBNAIL / (TWO_COLUMNS * 300)
            size = (round(factor * image.width), round(factor * image.height))
            images.append(image.convert("RGB").resize(size))
    rows = [images[start : start + _IN_A_ROW] for start in range(0, len(images), _IN_A_ROW)]
    heights = [max(image.height for image in row) for row in rows]
    sheet = Image.new("RGB", (_IN_A_ROW * _THUMBNAIL, sum(heights)), "white")
    for i, row in enumerate(rows):
        for j, small in enumerate(row):
            sheet.paste(small, (j * _THUMBNAIL, sum(heights[:i])))
    with atomic_write(file) as partial:
        sheet.save(partial, "PNG")


def _claim(row: Mapping[Any, Any]) -> dict[str, str]:
    ends = [row["low"], row["high"]]
    return {
        **{key: str(row[key]) for key in ("claim", "unit", "verdict", "explanation", "kind", "mark")},
        **{key: _text(row[key]) for key in ("published", "estimate")},
        "interval": "" if any(end != end for end in ends) else f"[{_text(ends[0])}, {_text(ends[1])}]",
    }


def _kind(row: Mapping[Any, Any]) -> dict[str, str]:
    share = "" if row["share"] != row["share"] else f"{row['share']:.0f} %"
    return {**{key: str(row[key]) for key in ("kind", "reproduced", "tested", "not_tested")}, "share": share}


def _table(name: str, table: pd.DataFrame) -> dict[str, Any]:
    shown = table.head(_MAX_ROWS).itertuples(index=False, name=None)
    rows = [[_text(cell) for cell in row] for row in shown]
    return {"name": name, "n_rows": len(table), "columns": list(map(str, table.columns)), "rows": rows}


def _text(value: object) -> str:
    """A number with three digits, '' where there is none."""
    if isinstance(value, float):
        return number_text(value)
    return "" if value is None else str(value)
