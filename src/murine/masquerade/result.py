"""The answer to *is it a mouse?*: verdicts of a network in each area, with what a reader needs to doubt them."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from murine.io.files import atomic_write
from murine.masquerade.placing import ALL_AREAS
from murine.masquerade.verdict_table import NETWORK, OTHER_AREA

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Columns of `MasqueradeResult.verdicts`.
VERDICT_COLUMNS = (
    *("network", "weights", "windows", "area", "verdict", "reason", "ratio", "ratio_error", "power_ratio", "mean"),
    *("p", "p_nested", "p_first_half", "p_second_half", "layer", "window", "n_animals"),
    *("contrast", "contrast_error", "contrast_p", "wrong_areas"),
)


@dataclass(frozen=True, eq=False, repr=False)
class MasqueradeResult:
    """A network among animals.

    Attributes
    ----------
    table
        All rows (`murine.masquerade.verdict_table.verdict_table`): the network and, beside it always, its controls,
        real animals left out, animals of other areas and pooled animals.
    areas
        Properties of the animals of each area (`murine.masquerade.areas.area_table`).
    animals
        Every real animal in its own area and in every other (`murine.masquerade.areas.animal_table`).
    pools
        All animals of each area pooled, in every other area (`murine.masquerade.areas.pool_table`).
    cortex
        Name of the recording.
    alpha
        Level of the tests.

    Examples
    --------
    >>> import murine
    >>> from murine.cortex.simulated import simulate
    >>> cortex = simulate(n_neuroids=480)
    >>> mice = [f"mouse {i % 7}" for i in range(cortex.recording.n_neuroids)]
    >>> data = murine.load_data(cortex.recording.labelled({"donor": mice}), stimuli=cortex.stimuli)
    >>> murine.is_it_a_mouse("pixels", data, windows="none", areas="SIMp")
    <MasqueradeResult pixels: SIMp: not a mouse, all areas: cannot tell>
    """

    table: pd.DataFrame
    areas: pd.DataFrame
    animals: pd.DataFrame
    pools: pd.DataFrame
    cortex: str
    alpha: float

    def __repr__(self) -> str:
        words = ", ".join(f"{row.area}: {row.verdict}" for row in self._last().itertuples())
        return f"<MasqueradeResult {self.name}: {words}>"

    @property
    def name(self) -> str:
        """The network with its weights."""
        row = self.verdicts.iloc[0]
        return f"{row.network}@{row.weights}" if row.weights not in ("", "none") else str(row.network)

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """The rows of the network, with the share of animals of every other area that is rejected, in words."""
        rows = self.table[self.table.role == NETWORK]
        others = self.table[self.table.role.str.startswith(OTHER_AREA)]
        words = {
            area: ", ".join(
                f"{role.removeprefix(OTHER_AREA).strip()} {share:.0%}"
                for role, share in zip(group.role, group.share_rejected, strict=True)
            )
            for area, group in others.groupby("area")
        }
        rows = rows.assign(wrong_areas=rows.area.map(words).fillna(""))
        return rows.reindex(columns=list(VERDICT_COLUMNS)).reset_index(drop=True)

    def _last(self) -> pd.DataFrame:
        """The verdicts with as many candidates as were asked for."""
        verdicts = self.verdicts
        return verdicts[verdicts.windows == verdicts.windows.iloc[-1]]

    def summary(self) -> str:
        """Return the verdicts in words, a sentence or two for each area, with what they are worth."""
        lines = [f"{self.name} among the mice of {self.cortex}, level {self.alpha:g}:"]
        for row in self._last().itertuples():
            line = f"{row.area}: {row.verdict} ({row.reason})."
            if row.area != ALL_AREAS and np.isfinite(row.ratio):
                place = f"{row.layer}, {row.window} of its map" if row.window else row.layer
                line += (
                    f" {place} is {row.ratio:.2f} +- {row.ratio_error:.2f} as typical as the mice (mean"
                    f" {row.mean:.2f}); of networks at {row.power_ratio:.2f}, 80 % would be told apart."
                )
                if row.wrong_areas:
                    line += f" Mice of other areas that are told apart here: {row.wrong_areas}."
            if np.isfinite(row.contrast):
                line += (
                    f" Less its random twins: {row.contrast:+.3f} +- {row.contrast_error:.3f} over mice"
                    f" (p = {row.contrast_p:.2g})."
                )
            lines.append(line)
        lines.append("A pass says only that this test, with these mice and images, cannot tell: docs/is-it-a-mouse.md.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Show the summary and the verdicts in a notebook."""
        lines = "<br>".join(html.escape(line) for line in self.summary().splitlines())
        columns = ["windows", "area", "verdict", "p", "p_nested", "ratio", "ratio_error", "power_ratio", "wrong_areas"]
        table = self.verdicts[columns].to_html(index=False, float_format="{:.3f}".format)
        return f"<p>{lines}</p>{table}"

    def plot(self, area: str | None = None, *, windows: str | None = None, axes: Axes | None = None) -> Axes:
        """Draw the animals of an area as points, with the network, its controls and what would be rejected.

        Parameters
        ----------
        area
            By default the first.
        windows
            ``none`` or ``thirds``; by default as asked for.
        axes
            Where to draw; by default new axes.

        Raises
        ------
        MurineError
            If there is no such area.
        """
        from murine.masquerade.figure import plot_area

        return plot_area(self, area, windows, axes)

    def save_figure(self, file: str | Path) -> Path:
        """Write a figure with a panel for each area, ``.png``, ``.pdf`` or ``.svg``. Return its path."""
        from murine.masquerade.figure import draw_areas

        with atomic_write(Path(file)) as partial:
            figure = draw_areas(self)
            figure.savefig(partial, format=Path(file).suffix.lstrip(".") or "png", dpi=150)
        return Path(file)

    def to_csv(self, file: str | Path) -> Path:
        """Write `table` to a CSV file, which appears only when it is complete. Return its path."""
        with atomic_write(Path(file)) as partial:
            self.table.to_csv(partial, index=False)
        return Path(file)
