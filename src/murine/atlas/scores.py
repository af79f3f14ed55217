"""Scores of networks: every row, the ranking, paired differences and a plot, in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from murine.atlas.contrasts import Contrast, contrast_table
from murine.atlas.leaderboard import BLANKS, MIN_CEILING, described, ranked
from murine.atlas.paired_differences import pairwise_differences
from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult
from murine.atlas.tables import DRAWS
from murine.errors import MurineError
from murine.io.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Columns of `Scores.table`, in order.
TABLE_COLUMNS = (
    *("network", "weights", "role", "input_size", "cortex", "metric", "treatment", "setting", "site"),
    *("chosen", "layer", "depth", "layer_share"),
    *("score", "low", "high", "ceiling", "ceiling_low", "ceiling_high", "ceiled", "ceiled_low", "ceiled_high"),
    *("plain", "chance", "p_value", "p_best", "p_adjusted", "optimism"),
    *("n_units", "n_neuroids", "n_stimuli", "n_repetitions", "site_flag", "flag"),
)


class Scores:
    """Scores of networks against one data set.

    Attributes
    ----------
    chosen
        The rows of the table ``scores`` (docs/reference/tables.md) that name a chosen layer, with draws, ``treatment``
        and ``setting``.
    results
        The state of each network: computed, done before, or failed.

    Parameters
    ----------
    chosen, results
        As above.
    rows
        Function that returns every row. It is called when a row is needed.

    Examples
    --------
    >>> import murine
    >>> scores = murine.score("pixels", "simulated", n_bootstraps=20, n_permutations=20)
    >>> scores
    <Scores: 1 network, 3 sites, rsa-pearson>
    >>> list(scores.best().site)
    ['SIMam', 'SIMl', 'SIMp']
    >>> print(scores.table[["site", "layer", "score", "ceiling"]].round(2).to_string(index=False))
     site  layer  score  ceiling
    SIMam pixels  -0.02     0.89
     SIMl pixels  -0.01     0.88
     SIMp pixels  -0.01     0.70
    >>> print(scores.summary())
    pixels reaches -1.7% [...] of the noise ceiling of simulated cortex 0 (rsa-pearson, both as they are, ...).
    >>> scores.to_csv("scores.csv").exists()
    True
    >>> scores.plot().get_xlabel()
    'Relative depth of the layer'
    """

    def __init__(
        self, chosen: pd.DataFrame, rows: Callable[[], pd.DataFrame], results: Sequence[NetworkResult] = ()
    ) -> None:
        self.chosen = chosen.fillna(BLANKS)
        self._read_rows = rows
        self.results = tuple(results)

    @classmethod
    def from_atlas(
        cls, atlas: Atlas, tasks: Collection[str], results: Sequence[NetworkResult] = (), *, lasts: bool = True
    ) -> Scores:
        """Read scores from an atlas.

        Parameters
        ----------
        tasks
            Digests of results.
        results
            What became of each network.
        lasts
            Whether the atlas persists, so that rows of layers that were not chosen can be read later.

        Raises
        ------
        MurineError
            If there are no results.
        """

        def read(condition: str) -> pd.DataFrame:
            wanted = ", ".join("?" for _ in tasks)
            order = "network, weights, metric, task, site, layer_index, stimuli, split, chosen"
            sql = f"SELECT * FROM scores WHERE task IN ({wanted}) AND {condition} ORDER BY {order}"
            return described(atlas, atlas.query(sql, list(tasks)))

        if lasts:
            return cls(read("chosen <> ''"), lambda: read("true"), results)
        rows = read("true")
        return cls(rows[rows.chosen != ""], lambda: rows, results)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Every row: all layers, sites and groups of stimuli, with bootstrap draws of chosen layers."""
        return self._read_rows()

    @property
    def failures(self) -> dict[str, str]:
        """Networks that could not be scored, and why."""
        return {str(result.spec): result.reason for result in self.results if result.state == "failed"}

    def __repr__(self) -> str:
        n_networks = len(self.chosen[["network", "weights", "input_size"]].drop_duplicates())
        n_sites, metrics = self.chosen.site.nunique(), ", ".join(dict.fromkeys(self.chosen.metric))
        parts = [f"{n_networks} network{'s' * (n_networks != 1)}", f"{n_sites} site{'s' * (n_sites != 1)}", metrics]
        return f"<Scores: {', '.join(parts)}{f', {len(self.failures)} failed' if self.failures else ''}>"

    def _repr_html_(self) -> str:
        """Show the summary and the ranking in a notebook."""
        import html

        lines = "<br>".join(html.escape(line) for line in self.summary().splitlines())
        columns = ["band", "network", "weights", "metric", "treatment", "value", "value_low", "value_high", "unit"]
        table = self.leaderboard[columns].to_html(index=False, float_format="{:.3f}".format)
        return f"<p>{lines}</p>{table}"

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each network, metric, treatment and site: the score of its chosen layer over all stimuli.

        ``chosen`` is ``nested`` if layers were chosen and scored on different stimuli, otherwise ``naive``. A site that
        could not be scored has a row without a score; its ``flag`` gives the reason.
        """
        whole = self.rows[self.rows.stimuli == "all"]
        key = ["task", "site"]
        # nested rows before naive ones, these before layers that were not chosen
        preference = whole.chosen.map({"nested": 0, "naive": 1}).fillna(2)
        first = whole.assign(preference=preference).sort_values([*key, "preference", "layer_index"], kind="stable")
        first = first.drop_duplicates(key).sort_values(["network", "weights", "metric", "site"], kind="stable")
        return first[[c for c in TABLE_COLUMNS if c in first]].reset_index(drop=True)

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """The ranking of networks, as `murine.atlas.leaderboard.leaderboards` describes it."""
        return ranked(self.chosen)

    def differences(self) -> pd.DataFrame:
        """Return the difference of every two networks that can be compared, with intervals from paired draws."""
        return pairwise_differences(self.chosen)

    def contrasts(self, contrasts: Iterable[Contrast]) -> pd.DataFrame:
        """Return the differences between two sides of networks, as `murine.atlas.contrasts.contrast_table` does.

        Examples
        --------
        >>> import murine
        >>> from murine.atlas.contrasts import Contrast, Side
        >>> scores = murine.compare(["pixels", "gabor"], "simulated", controls=False, n_bootstraps=50)
        >>> filters = Contrast("filters", "Gabor - pixels", Side(("gabor",)), Side(("pixels",)))
        >>> scores.contrasts([filters])[["site", "difference"]].round(1).values.tolist()[-1]
        ['all sites', 0.6]
        """
        return contrast_table(self.chosen, contrasts)

    def to_frame(self) -> pd.DataFrame:
        """Return every row: all layers, sites and groups of stimuli; without bootstrap draws."""
        return self.rows.drop(columns=[name for name in DRAWS if name in self.rows])

    def best(self) -> pd.DataFrame:
        """Return the best network and layer of each site, by the share of the ceiling where there is one.

        Metrics and treatments are not compared: each has its own rows. Sites without a score are left out.
        """
        table = self.table
        value = table.ceiled.where(table.ceiled.notna(), table.score)
        known = table.assign(value=value)[value.notna()]
        best = known.sort_values("value", ascending=False, kind="stable")
        best = best.drop_duplicates(["cortex", "metric", "treatment", "setting", "site"])
        return best.drop(columns="value").sort_values(["metric", "treatment", "site"]).reset_index(drop=True)

    def summary(self) -> str:
        """Return the main results in words: a sentence for each network, metric and treatment, and what is missing."""
        lines = [_sentence(row) for row in self.leaderboard.to_dict("records")] if len(self.chosen) else []
        if not lines:
            lines.append(f"No site has a noise ceiling of {MIN_CEILING} or more: networks are not ranked.")
        if flagged := sorted({flag for flag in self.table.site_flag if flag}):
            lines += [f"Note on sites: {flag}." for flag in flagged]
        lines += [f"{network} could not be scored: {reason}" for network, reason in self.failures.items()]
        return "\n".join(lines)

    def to_csv(self, file: str | Path) -> Path:
        """Write `table` to a CSV file, which appears whole or not at all. Return its path."""
        with atomic_write(Path(file)) as partial:
            self.table.to_csv(partial, index=False)
        return Path(file)

    def plot(self, *, metric: str | None = None, treatment: str | None = None, axes: Axes | None = None) -> Axes:
        """Draw scores: of one network by depth of the layer, a line for each site; of several, the ranking.

        Parameters
        ----------
        metric, treatment
            Which of them; by default the first.
        axes
            Where to draw; by default new axes.

        Raises
        ------
        MurineError
            If there is no such metric or treatment.
        """
        from murine.atlas.score_plots import plot_depth_profile, plot_ranking

        rows = self.rows
        for column, wanted in (("metric", metric), ("treatment", treatment)):
            known = list(dict.fromkeys(rows[column]))
            if wanted is not None and wanted not in known:
                raise MurineError(f"there are no scores with {column} {wanted!r}; there are {', '.join(known)}.")
            rows = rows[rows[column] == (wanted or known[0])]
        if len(rows[["network", "weights", "input_size"]].drop_duplicates()) == 1:
            return plot_depth_profile(rows, axes)
        return plot_ranking(ranked(rows[rows.chosen != ""].fillna(BLANKS)), axes)


def _sentence(row: Mapping[str, object]) -> str:
    value, low, high = (float(str(row[f"value{end}"])) for end in ("", "_low", "_high"))
    weights = str(row["weights"])
    name = f"{row['network']}@{weights}" if weights not in ("", "none") else str(row["network"])
    if row["unit"] == "raw score":
        reached = f"has a raw score of {value:.3f} [{low:.3f}, {high:.3f}] (no noise ceiling is known)"
    else:
        reached = f"reaches {value:.1%} [{low:.1%}, {high:.1%}] of the noise ceiling"
    n_sites = int(str(row["n_sites"]))
    sites = f"mean of {n_sites} sites" if n_sites > 1 else "1 site"
    choice = "layers chosen on other images" if row["selection"] == "nested" else "layers chosen on the same images"
    return f"{name} {reached} of {row['cortex']} ({row['metric']}, {row['treatment']}, {sites}, {choice})."
