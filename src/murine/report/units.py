"""Figures of single neurons beside single units, drawn without pyplot and its global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from murine.errors import MurineError
from murine.report.figures import WIDTH
from murine.report.palette import GROUND_LIGHT, LIGHT
from murine.report.short_names import shortened

#: Below, at and above zero.
DIVERGING = (LIGHT["random"], "#ffffff", LIGHT["trained"])

#: Text in a picture of pairs about how they were chosen.
CHOSEN = "Pairs are chosen on odd repetitions and shown on even ones: a pair beside the best may look better."

_NEURON, _QUIET = GROUND_LIGHT["ink"], GROUND_LIGHT["quiet"]
_SMALL, _TINY = 7, 5.5  # font sizes
_LONGEST = 34  # letters of a name


@dataclass(frozen=True, eq=False)
class PairOfPictures:
    """A neuron and the unit it was matched with.

    Attributes
    ----------
    site, neuron, unit
        Names of the site, the neuron and the unit.
    responses, activations
        (n_stimuli,) mean responses on the even repetitions, and activations, in the same order; any unit.
    r, r_shuffled
        Over stimuli; and of the neuron's best unit with its stimuli shuffled.
    r_odd
        The same on the odd repetitions, on which pairs are chosen.
    overlap
        Of the densities of both, standardised.
    """

    site: str
    neuron: str
    unit: str
    responses: Float[np.ndarray, " n_stimuli"]
    activations: Float[np.ndarray, " n_stimuli"]
    r: float
    r_shuffled: float
    overlap: float
    r_odd: float


@dataclass(frozen=True, eq=False)
class MapPair:
    """A neuron's map and that of its nearest unit, (side, side) each, of the same normalisation."""

    neuron: str
    unit: str
    neuron_map: Float[np.ndarray, "side side"]
    unit_map: Float[np.ndarray, "side side"]
    rmse: float


@dataclass(frozen=True, eq=False)
class Distributions:
    """Scores of the neurons of a site with true and with shuffled stimuli: one pair of samples for each score."""

    site: str
    own: Mapping[str, Float[np.ndarray, " n_neuroids"]]
    shuffled: Mapping[str, Float[np.ndarray, " n_neuroids"]]


def pairs_figure(title: str, columns: Mapping[str, Sequence[PairOfPictures]], role: str) -> Figure:
    """Draw activation curves and densities of pairs: one row per site, one column for each choice of pairs.

    Stimuli are in the order of the neuron's responses; both are standardised over stimuli.

    Raises
    ------
    MurineError
        If there is no pair.
    """
    n_rows = max((len(pairs) for pairs in columns.values()), default=0)
    if not n_rows:
        raise MurineError(f"no neuron of {title!r} has a unit: there is nothing to draw.")
    figure = Figure(figsize=(WIDTH, 1.05 * n_rows + 0.85), layout=ConstrainedLayoutEngine(h_pad=0.08))
    grid = GridSpec(n_rows, 2 * len(columns), figure, width_ratios=[2.5, 1] * len(columns))
    for column, (heading, pairs) in enumerate(columns.items()):
        for row, pair in enumerate(pairs):
            curve = figure.add_subplot(grid[row, 2 * column])
            density = figure.add_subplot(grid[row, 2 * column + 1])
            _draw_curve(curve, pair, LIGHT[role])
            _draw_density(density, pair, LIGHT[role])
            if not row:
                curve.set_title(f"{heading}\n", fontsize=_SMALL, loc="left", fontweight="bold", parse_math=False)
            above = curve.annotate(
                f"{shortened(pair.neuron, _LONGEST)}: {shortened(pair.unit, _LONGEST)}",
                (0, 1),
                xytext=(0, 2),
                xycoords="axes fraction",
                textcoords="offset points",
                fontsize=_TINY,
                color=_QUIET,
                parse_math=False,
            )
            above.set_in_layout(False)  # it may reach over the density
            if not column:
                curve.set_ylabel(shortened(pair.site, _LONGEST), fontsize=_SMALL, parse_math=False)
            if row == len(pairs) - 1:
                curve.set_xlabel("stimuli, by response", fontsize=_SMALL - 1)
                density.set_xlabel("standardised", fontsize=_SMALL - 1)
    key = [Line2D([], [], color=_NEURON, label="neuron, even repetitions"), _dots(LIGHT[role], "its unit")]
    figure.legend(handles=key, loc="outside lower right", ncols=2, fontsize=_SMALL, frameon=False, borderpad=0)
    told = f"{title}\n{CHOSEN}" if title else CHOSEN
    figure.suptitle(told, fontsize=_SMALL + 1, x=0.01, ha="left", parse_math=False)
    return figure


def maps_figure(title: str, sites: Mapping[str, Sequence[MapPair]], headings: Sequence[str]) -> Figure:
    """Draw maps of neurons, each beside that of its nearest unit: one row per site, one pair for each heading.

    Both of a pair share one range of colours, white at zero.

    Raises
    ------
    MurineError
        If there is no pair.
    """
    if not any(sites.values()):
        raise MurineError(f"no neuron of {title!r} has a map and a unit: there is nothing to draw.")
    n_pairs = len(headings)
    figure = Figure(figsize=(WIDTH, (3.1 / n_pairs + 0.28) * len(sites) + 0.7), layout="constrained")
    grid = GridSpec(len(sites), 3 * n_pairs - 1, figure, width_ratios=[*[1, 1, 0.25] * n_pairs][:-1])
    colours = LinearSegmentedColormap.from_list("diverging", DIVERGING)
    for row, (site, pairs) in enumerate(sites.items()):
        for i, pair in enumerate(pairs):
            largest = max(np.abs(pair.neuron_map).max(), np.abs(pair.unit_map).max())
            for j, (of, values) in enumerate((("neuron", pair.neuron_map), ("unit", pair.unit_map))):
                axes = figure.add_subplot(grid[row, 3 * i + j])
                axes.imshow(values, cmap=colours, vmin=-largest, vmax=largest, interpolation="nearest")
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set(color=GROUND_LIGHT["line-strong"], linewidth=0.6)
                name = pair.neuron if of == "neuron" else pair.unit
                axes.set_xlabel(shortened(name, 20), fontsize=_TINY, color=_QUIET, labelpad=2, parse_math=False)
                if of == "neuron":
                    above = f"{headings[i]}\n" if not row else ""
                    text = f"{above}RMSE {pair.rmse:.3f}"
                    axes.set_title(text, fontsize=_SMALL, loc="left", pad=3, parse_math=False)
                else:
                    axes.set_title("\n" if not row else "", fontsize=_SMALL, pad=3)
                if not i and of == "neuron":
                    axes.set_ylabel(shortened(site, 20), fontsize=_SMALL, parse_math=False)
    explained = "left a neuron, right the unit nearest to it; blue above zero, orange below"
    figure.suptitle(f"{title}; {explained}", fontsize=_SMALL, x=0.01, ha="left", parse_math=False)
    return figure


def distributions_figure(title: str, sites: Sequence[Distributions], axis: str, role: str) -> Figure:
    """Draw densities over neurons by site: their own scores upwards, those with shuffled stimuli downwards.

    White lines are medians.

    Raises
    ------
    MurineError
        If there is no score.
    """
    if not sites:
        raise MurineError(f"no neuron of {title!r} has a score: there is nothing to draw.")
    figure = Figure(figsize=(WIDTH, 0.45 * len(sites) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(labelsize=_SMALL, length=2.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    everything = np.concatenate([x for site in sites for part in (site.own, site.shuffled) for x in part.values()])
    low, high = np.nanquantile(everything, [0.0005, 0.9995])
    margin = 0.06 * (high - low or 1)
    points = np.linspace(low - margin, high + margin, 400)
    for row, site in enumerate(sites):
        for score, values in site.own.items():
            both = [_density(x, points) for x in (values, site.shuffled[score])]
            height = 0.44 / max(both[0].max(), both[1].max(), 1e-12)
            samples = zip((values, site.shuffled[score]), both, (1, -1), (LIGHT[role], LIGHT["control"]), strict=True)
            for sample, density, sign, colour in samples:
                axes.fill_between(points, row, row - sign * height * density, color=colour, alpha=0.85, linewidth=0)
                if len(sample) and np.isfinite(middle := np.nanmedian(sample)):
                    at = np.interp(middle, points, density)
                    axes.plot([middle] * 2, [row, row - sign * height * at], color="white", linewidth=1)
            if not row and len(site.own) > 1:
                place = float(np.nanmedian(values))
                axes.annotate(score, (place, -0.5), ha="center", va="bottom", fontsize=_SMALL, color=_QUIET)
    names = [shortened(site.site, _LONGEST) for site in sites]
    axes.set_yticks(range(len(sites)), names, fontsize=_SMALL, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(sites) - 0.45, -0.75 if len(sites[0].own) > 1 else -0.5)
    axes.set_xlim(points[0], points[-1])
    axes.set_xlabel(axis, fontsize=_SMALL + 1)
    key = [Patch(color=LIGHT[role], label="neurons"), Patch(color=LIGHT["control"], label="stimuli shuffled")]
    figure.legend(handles=key, loc="outside lower right", ncols=2, fontsize=_SMALL, frameon=False, borderpad=0)
    figure.suptitle(title, fontsize=_SMALL + 1, x=0.01, ha="left", parse_math=False)
    return figure


def _draw_curve(axes: Axes, pair: PairOfPictures, colour: str) -> None:
    order = np.argsort(pair.responses, kind="stable")
    place = np.arange(1, len(order) + 1)
    axes.plot(place, _standardised(pair.activations)[order], "o", color=colour, markersize=1.6, markeredgewidth=0)
    axes.plot(place, _standardised(pair.responses)[order], color=_NEURON, linewidth=1)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.4 * (high - low))  # room for the text
    text = f"r even {pair.r:.2f}, shuffled {pair.r_shuffled:.2f}\nr odd {pair.r_odd:.2f}; overlap {pair.overlap:.2f}"
    axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=_SMALL - 1, linespacing=1.3)
    _plain(axes, 5)


def _draw_density(axes: Axes, pair: PairOfPictures, colour: str) -> None:
    neuron, unit = _standardised(pair.responses), _standardised(pair.activations)
    points = np.linspace(min(neuron.min(), unit.min()) - 1, max(neuron.max(), unit.max()) + 1, 200)
    of_neuron, of_unit = _density(neuron, points), _density(unit, points)
    axes.fill_between(points, np.minimum(of_neuron, of_unit), color=GROUND_LIGHT["line"], linewidth=0)
    axes.plot(points, of_unit, color=colour, linewidth=1)
    axes.plot(points, of_neuron, color=_NEURON, linewidth=1)
    axes.set_ylim(bottom=0)
    _plain(axes, 3)
    axes.set_yticks([])


def _plain(axes: Axes, n_ticks: int) -> None:
    axes.tick_params(labelsize=_TINY, length=2, pad=1.5)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(n_ticks, integer=True))
    axes.spines[["top", "right"]].set_visible(False)


def _dots(colour: str, label: str) -> Line2D:
    return Line2D([], [], color=colour, marker="o", linestyle="", markersize=3, markeredgewidth=0, label=label)


def _standardised(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    spread = values.std()
    return (values - values.mean()) / (spread if spread > 0 else 1)


def _density(values: Float[np.ndarray, " n"], points: Float[np.ndarray, " n_points"]) -> Float[np.ndarray, " n_points"]:
    """Return the Gaussian kernel estimate with Scott's bandwidth; zero if there are no data."""
    from scipy.stats import gaussian_kde

    known = values[np.isfinite(values)]
    if len(known) < 2 or np.ptp(known) == 0:
        return np.zeros(len(points))
    return np.asarray(gaussian_kde(known)(points))
