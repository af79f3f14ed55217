"""The figure of an embedding: every neuron in the colour of its area and of its Cre line, the chosen ones ringed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.transforms import ScaledTranslation

from murine.cortex.recording import Recording
from murine.cortex.representative import Representatives
from murine.errors import MurineError
from murine.report.figures import WIDTH, save
from murine.report.palette import CATEGORIES, GROUND_LIGHT, UNLABELLED
from murine.report.short_names import shortened

#: Names of coordinates in a figure; other coordinates keep their names.
TITLES = {"cre_line": "Cre line", "cell_class": "class", "donor": "mouse"}

_SMALL = 7  # font size
_LINE = 1.45 * _SMALL  # points from a line of a legend to the next
_LONGEST = 22  # letters of a label
_UNKNOWN, _OTHERS = "not known", "all others"


def write_embedding(
    representatives: Representatives,
    folder: str | Path,
    *,
    name: str = "embedding",
    colours: Sequence[str] | None = None,
) -> list[Path]:
    """Write `embedding_figure` as NAME.pdf (its text can be edited, its dots are pixels) and NAME.png (300 dpi).

    Parameters
    ----------
    representatives
        The embedding, from `murine.cortex.representative.representative` or `murine.cortex.repeated`.
    folder
        Where the files are written; it is made if needed.
    name
        Name of the files, without an ending.
    colours
        As in `embedding_figure`.

    Returns
    -------
    files
        The paths that were written.

    Raises
    ------
    MurineError
        If there is no such coordinate, or a file cannot be written.

    Examples
    --------
    >>> from murine.cortex import repeated, simulate
    >>> from murine.scenes import synthetic_scenes
    >>> recording = simulate(synthetic_scenes(20, size=32), n_neuroids=40, n_repetitions=2).recording
    >>> few = {"by": "area", "vectors": "responses", "n_clusters": 2, "n_per_cluster": 3}
    >>> files = write_embedding(repeated(recording, 1, **few)[0], "figures")
    >>> [file.name for file in files]
    ['embedding.pdf', 'embedding.png']
    """
    return save(embedding_figure(representatives, colours=colours), folder, name)


def embedding_figure(representatives: Representatives, *, colours: Sequence[str] | None = None) -> Figure:
    """Draw the embedding of each group (a row), once for every coordinate that colours it (a column).

    All neurons are small dots, drawn in random order so that no label hides another. Chosen neurons have a ring. The
    legends give the numbers of chosen and of all neurons. A label has the same colour in all rows. If there are more
    labels than colours, the labels with the fewest neurons share a grey.

    Parameters
    ----------
    colours
        Coordinates of the neurons; by default ``area`` and ``cre_line``, those of them that the recording has.

    Raises
    ------
    MurineError
        If there is no such coordinate.
    """
    recording = representatives.embedded
    if colours is None:
        colours = [c for c in ("area", "cre_line") if c in recording.dataset.coords]
    if not colours:
        raise MurineError(f"there is nothing to colour the embedding of {recording.name!r} by; give colours.")
    columns = [_coloured(recording, coordinate) for coordinate in colours]
    groups = recording[representatives.by].astype(str)
    points = np.stack([recording["umap_1"], recording["umap_2"]], axis=1).astype(np.float64)
    chosen = recording["chosen"].astype(bool)

    rows = sorted(set(groups))
    titles = [TITLES.get(coordinate, coordinate) for coordinate in colours]
    tables = [_columns(title, labels, chosen) for title, (labels, _) in zip(titles, columns, strict=True)]
    widths = np.array([table[-1] / 72 + 0.2 for table in tables])  # inches
    side = max(1.7, (WIDTH - 0.2 - widths.sum()) / len(colours))
    longest = max(len(set(labels[groups == group])) for labels, _ in columns for group in rows)
    height = 0.45 + max(side, (longest + 1) * _LINE / 72)
    size = (0.2 + len(colours) * side + widths.sum(), height * len(rows))
    figure = Figure(figsize=size)
    for i, group in enumerate(rows):
        # Mixed, but always alike: the order of drawing is no message.
        mine = np.random.default_rng(0).permutation(np.flatnonzero(groups == group))
        for j, (title, (labels, palette)) in enumerate(zip(titles, columns, strict=True)):
            left = 0.2 + j * side + widths[:j].sum()
            bottom = size[1] - i * height - 0.25 - side
            axes = figure.add_axes((left / size[0], bottom / size[1], side / size[0], side / size[1]))
            _draw(axes, points[mine], labels[mine], chosen[mine], palette)
            _legend(axes, title, labels[mine], chosen[mine], palette, tables[j])
            _write(axes, chr(ord("a") + i * len(colours) + j), (0, 1), (0, 4), fontsize=_SMALL + 3, fontweight="bold")
            name = f"{group[:1].upper()}{group[1:]} neurons by {title}"
            _write(axes, name, (0, 1), (12, 4.5), fontsize=_SMALL + 1)
    return figure


def _coloured(recording: Recording, coordinate: str) -> tuple[np.ndarray, dict[str, str]]:
    """The label of each neuron as the figure calls it, and the colour of each label."""
    labels = recording[coordinate].astype(str)
    if labels.shape != (recording.n_neuroids,):
        raise MurineError(f"{coordinate!r} is no coordinate of the neurons of {recording.name!r}.")
    names, counts = np.unique(labels[labels != ""], return_counts=True)
    common = sorted(names[np.argsort(-counts, kind="stable")][: len(CATEGORIES)])
    palette = {str(name): colour for name, colour in zip(common, CATEGORIES, strict=False)}
    labels = np.where(labels == "", _UNKNOWN, np.where(np.isin(labels, common), labels, _OTHERS)).astype(str)
    return labels, {**palette, **dict.fromkeys(sorted({_OTHERS, _UNKNOWN} & set(labels)), UNLABELLED)}


def _columns(title: str, labels: np.ndarray, chosen: Bool[np.ndarray, " n_neuroids"]) -> tuple[float, float, float]:
    """Where the labels of a legend start, and where its columns of numbers end: points from its left end."""
    names = [shortened(name, _LONGEST) for name in set(labels)]
    first = 13 + max(_width(text) for text in (*names, title)) + max(_width("chosen"), _width(f"{chosen.sum():,}")) + 8
    return 13, first, first + max(_width("all"), _width(f"{len(labels):,}")) + 8


def _draw(
    axes: Axes,
    points: Float[np.ndarray, "n_neuroids 2"],
    labels: np.ndarray,
    chosen: Bool[np.ndarray, " n_neuroids"],
    palette: dict[str, str],
) -> None:
    colours = np.array([palette[label] for label in labels])
    # Tens of thousands of dots are pixels even in a PDF; the text stays text.
    dot = float(np.clip(6000 / len(points), 1.2, 6))
    axes.scatter(
        points[~chosen, 0], points[~chosen, 1], s=dot, c=colours[~chosen], alpha=0.45, linewidths=0, rasterized=True
    )
    ring: dict[str, Any] = {"edgecolors": GROUND_LIGHT["ink"], "linewidths": 0.35}
    axes.scatter(points[chosen, 0], points[chosen, 1], s=8, c=colours[chosen], rasterized=True, **ring)
    # One scale for both directions: distances in an embedding mean something, its axes do not.
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.54 * max(float((high - low).max()), 1e-6)
    middle = (low + high) / 2
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_axis_off()
    quiet = GROUND_LIGHT["quiet"]
    arrow = {"arrowstyle": "-|>,head_width=0.12,head_length=0.25", "color": quiet, "linewidth": 0.7}
    for end in ((0.15, 0), (0, 0.15)):
        shape = {**arrow, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", end, (0, 0), xycoords="axes fraction", arrowprops=shape)
    style = {"color": quiet, "fontsize": _SMALL - 1.5}
    _write(axes, "UMAP 1", (0, 0), (0, -2), va="top", **style)
    _write(axes, "UMAP 2", (0, 0), (-2, 0), ha="right", rotation=90, **style)


def _legend(
    axes: Axes,
    title: str,
    labels: np.ndarray,
    chosen: Bool[np.ndarray, " n_neuroids"],
    palette: dict[str, str],
    columns: tuple[float, float, float],
) -> None:
    """Dots, labels and two columns of numbers, to the right of the axes."""
    start, first, second = columns
    quiet = {"fontsize": _SMALL - 1, "color": GROUND_LIGHT["quiet"], "va": "top"}
    _write(axes, title[:1].upper() + title[1:], (1, 1), (start - 9, 0), **quiet)
    _write(axes, "chosen", (1, 1), (first, 0), ha="right", **quiet)
    _write(axes, "all", (1, 1), (second, 0), ha="right", **quiet)
    ring: dict[str, Any] = {"markeredgecolor": GROUND_LIGHT["ink"], "markeredgewidth": 0.4, "markersize": 4}
    y = -0.5 * _LINE
    for name, colour in palette.items():
        mine = labels == name
        if not mine.any():
            continue
        y -= _LINE
        place = axes.transAxes + ScaledTranslation((start - 6) / 72, y / 72, axes.figure.dpi_scale_trans)
        axes.plot([1], [1], "o", transform=place, clip_on=False, color=colour, label=name, **ring)
        text = {"va": "center_baseline", "fontsize": _SMALL}
        _write(axes, shortened(name, _LONGEST), (1, 1), (start, y), **text)
        _write(axes, f"{chosen[mine].sum():,}", (1, 1), (first, y), ha="right", **text)
        _write(axes, f"{mine.sum():,}", (1, 1), (second, y), ha="right", **text)


def _width(text: str) -> float:
    """Of a text in points. A dollar sign takes part as a letter."""
    return float(TextPath((0, 0), text.replace("$", "S"), size=_SMALL).get_extents().width)


def _write(axes: Axes, text: str, corner: tuple[float, float], offset: tuple[float, float], **style: Any) -> None:
    """Text at a distance in points from a corner of the axes; a dollar sign in it is no formula."""
    style |= {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(text, corner, offset, parse_math=False, **style)
