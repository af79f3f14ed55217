"""Pictures of architectures: alignments with their matrices, heat maps, and similarities against lengths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure

from murine.architecture.alignment import Alignment, optimal_cells, score_matrix
from murine.architecture.sequence_similarity import length_ratios, similarities
from murine.errors import MurineError
from murine.io.files import atomic_write
from murine.report.palette import GROUND_LIGHT, HEAT_LIGHT, LIGHT
from murine.report.short_names import shortened, without_files
from murine.similarity.rdm_vectors import upper_triangle

Matrix = Float[np.ndarray, "n_networks n_networks"]

#: Endings of files that pictures can be written as.
ENDINGS = (".png", ".pdf", ".svg")

#: Letters that still find room along the sides of a matrix, and numbers in its cells.
_LETTERS, _NUMBERS = 90, 32

_SMALL = 7  # font size

_LONGEST = 40  # letters of a name

#: Blue for dissimilar, red for similar, white between; colour-blind readers can distinguish them.
_DIVERGING = ("#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b")


def write(figure: Figure, file: Path, dpi: int = 150) -> Path:
    """Write a picture in the format that the file's name ends with.

    Raises
    ------
    MurineError
        If the name ends with another format than `ENDINGS`, or the file cannot be written.
    """
    check_ending(file)
    with atomic_write(file) as partial, matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(partial, format=file.suffix.lower()[1:], dpi=dpi)
    return file


def check_ending(file: Path) -> None:
    """Refuse the name of a picture that ends with another format than `ENDINGS`: before hours of work, not after."""
    if file.suffix.lower() not in ENDINGS:
        raise MurineError(f"{str(file)!r}: pictures are written as {', '.join(ENDINGS)}.")


def alignments_figure(alignments: Sequence[tuple[str, str, Alignment]]) -> Figure:
    """Draw the matrix of every alignment, given with the names of its networks, and the path through it.

    Dots mark cells of other best alignments; there are often many.

    Examples
    --------
    >>> from murine.architecture import align
    >>> figure = alignments_figure([("first", "second", align("CRMCRML", "CRCRL"))])
    >>> len(figure.axes)
    1
    >>> figure.savefig("alignment.png")
    """
    n_columns = min(len(alignments), 3)
    n_rows = -(-len(alignments) // n_columns)
    figure = Figure(figsize=(3.6 * n_columns + 0.3, 3.5 * n_rows), layout="constrained")
    called = _called(name for *pair, _ in alignments for name in pair)
    for place, (first, second, alignment) in enumerate(alignments):
        _matrix(figure.add_subplot(n_rows, n_columns, place + 1), called[first], called[second], alignment)
    return figure


def _matrix(axes: Axes, first: str, second: str, alignment: Alignment) -> None:
    rows, columns = (side.replace("-", "") for side in (alignment.first, alignment.second))
    scores = score_matrix(rows, columns)
    colours = LinearSegmentedColormap.from_list("scores", HEAT_LIGHT[:6])
    axes.imshow(scores, cmap=colours, aspect="auto", interpolation="nearest")
    others = optimal_cells(rows, columns)
    others[tuple(alignment.path.T)] = False
    i, j = np.nonzero(others)
    size = 60 / max(scores.shape)
    line = min(max(0.7, size), 3.0)
    axes.plot(j, i, ".", color=LIGHT["random"], markersize=min(12.0, 2 * size), alpha=0.6)
    axes.plot(alignment.path[:, 1], alignment.path[:, 0], "-", color=LIGHT["random"], linewidth=line)
    longest = max(scores.shape)
    if longest <= _NUMBERS:
        for (i, j), score in np.ndenumerate(scores):
            on_dark = score > scores.min() + 0.65 * np.ptp(scores)
            colour = "white" if on_dark else GROUND_LIGHT["ink"]
            text = axes.text(j, i, str(score), ha="center", va="center", fontsize=min(5.0, 105 / longest), color=colour)
            text.set_in_layout(False)  # inside anyway, and there are hundreds
    if longest <= _LETTERS:
        font = min(float(_SMALL), 260 / longest)
        axes.set_yticks(range(len(rows) + 1), ["", *rows], fontsize=font)
        axes.set_xticks(range(len(columns) + 1), ["", *columns], fontsize=font)
        axes.tick_params(length=0, pad=1)
    else:
        axes.tick_params(labelsize=_SMALL, length=2)
    axes.xaxis.tick_top()
    axes.set_ylabel(first, fontsize=_SMALL + 1, parse_math=False)
    axes.set_title(
        f"{second}\nscore {alignment.score}, index {alignment.index:.2f}", fontsize=_SMALL + 1, parse_math=False
    )
    axes.spines[:].set_visible(False)


def heat_map_figure(names: Sequence[str], panels: Mapping[str, Matrix], label: str) -> Figure:
    """Draw correlations of networks, one panel for each title.

    Parameters
    ----------
    panels
        Values from -1 to 1 in the order of the names; NaN is hatched.
    label
        Of the bar of colours.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.architecture import heat_map
    >>> similarity = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.1], [0.1, 0.1, 1.0]])
    >>> figure = heat_map_figure(["a", "b", "c"], {"index": heat_map(similarity)}, "correlation")
    >>> [axes.get_title() for axes in figure.axes][0]
    'index'
    """
    short = _called(names)
    called = [short[name] for name in names]
    side = max(2.6, 0.115 * len(names) + 1.1) + 0.04 * max(0, max(map(len, called)) - 24)
    figure = Figure(figsize=(side * len(panels) + 0.7, side + 0.35), layout="compressed")
    image = None
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for place, (axes, (title, values)) in enumerate(zip(grid, panels.items(), strict=True)):
        axes.patch.set(hatch="////", facecolor="white", edgecolor=GROUND_LIGHT["line-strong"])
        colours = LinearSegmentedColormap.from_list("correlation", _DIVERGING)
        image = axes.imshow(values, cmap=colours, norm=TwoSlopeNorm(0, -1, 1), interpolation="nearest")
        axes.set_xticks(range(len(names)), called, fontsize=_SMALL - 2, rotation=90, parse_math=False)
        beside = called if place == 0 else [""] * len(names)
        axes.set_yticks(range(len(names)), beside, fontsize=_SMALL - 2, parse_math=False)
        axes.tick_params(length=0, pad=1)
        axes.set_title(title, fontsize=_SMALL + 1)
        axes.spines[:].set_visible(False)
    if image is not None:
        bar = figure.colorbar(image, ax=grid, shrink=0.7, pad=0.01, aspect=25)
        bar.set_label(label, fontsize=_SMALL)
        bar.ax.tick_params(labelsize=_SMALL - 1)
        bar.outline.set_visible(False)
    return figure


def _called(networks: Iterable[str]) -> dict[str, str]:
    """Names with room for them, by network."""
    return {network: shortened(name, _LONGEST) for network, name in without_files(networks).items()}


def length_figure(sequences: Sequence[str], effects: Mapping[str, str]) -> Figure:
    """Draw every similarity of ``effects`` against the ratio of lengths, with a dot for each pair of networks.

    Parameters
    ----------
    sequences
        Layer sequences of the networks.
    effects
        Names of similarities (`murine.architecture.similarities`), each with a text that is written above its panel.

    Examples
    --------
    >>> figure = length_figure(["CR", "CRCR", "CRCRCRCR"], {"index": "longer networks are less similar"})
    >>> figure.axes[0].get_xlabel()
    'doublings between the lengths'
    """
    figure = Figure(figsize=(2.5 * len(effects), 2.5), layout="constrained")
    ratios = upper_triangle(length_ratios(sequences))
    for axes, (name, said) in zip(figure.subplots(1, len(effects), squeeze=False)[0], effects.items(), strict=True):
        axes.plot(
            ratios,
            upper_triangle(similarities[name](sequences)),
            ".",
            color=LIGHT["trained"],
            markersize=2.5,
            alpha=0.5,
        )
        if name == "shared":  # no pair can have more
            x = np.linspace(0, max(ratios.max(), 1e-9), 100)
            axes.plot(x, 2 / (1 + 2**x), color=GROUND_LIGHT["quiet"], linewidth=0.8, linestyle=(0, (3, 2)))
        axes.set_title(f"{name}\n{said}", fontsize=_SMALL, loc="left")
        axes.set_xlabel("doublings between the lengths", fontsize=_SMALL)
        axes.tick_params(labelsize=_SMALL - 1, length=2.5)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def relations_figure(distances: Mapping[str, Matrix], relations: pd.DataFrame) -> Figure:
    """Draw each kind of distance between networks against the other kinds, with a dot for each pair of networks.

    Parameters
    ----------
    distances, relations
        As in `murine.studies.architectures.Explanation`. Only relations with nothing held constant are drawn.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> points = np.random.default_rng(0).normal(size=(2, 10, 3))
    >>> distances = {name: np.linalg.norm(p[:, None] - p, axis=2) for name, p in zip(["layers", "score"], points)}
    >>> relations = pd.DataFrame([{"first": "layers", "second": "score", "given": "", "r": 0.1, "p": 0.4}])
    >>> relations_figure(distances, relations).axes[0].get_ylabel()
    'score'
    """
    plain = relations[relations.given == ""]
    rows, columns = (list(dict.fromkeys(plain[side])) for side in ("second", "first"))
    figure = Figure(figsize=(1.75 * len(columns), 1.6 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    told = {(row["first"], row["second"]): row for row in plain.to_dict("records")}
    for i, second in enumerate(rows):
        for j, first in enumerate(columns):
            axes = grid[i, j]
            row = told.get((first, second))
            if row is None:
                axes.set_axis_off()
                continue
            axes.plot(
                upper_triangle(distances[first]),
                upper_triangle(distances[second]),
                ".",
                color=LIGHT["trained"],
                markersize=2,
                alpha=0.35,
            )
            axes.set_title(f"r {row['r']:.2f}, p {row['p']:.2g}", fontsize=_SMALL - 1, loc="left")
            axes.tick_params(labelsize=_SMALL - 2, length=2)
            axes.spines[["top", "right"]].set_visible(False)
            if not j:
                axes.set_ylabel(second, fontsize=_SMALL)
            if i == len(rows) - 1 or (first, rows[i + 1]) not in told:
                axes.set_xlabel(first, fontsize=_SMALL)
    return figure
