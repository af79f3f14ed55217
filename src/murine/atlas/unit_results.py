"""Comparisons of units with neurons for many networks: computed where missing, then read as one table of sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult, each
from murine.atlas.unit_sweep import MapComparison, Matching, site_table, unscored
from murine.errors import MurineError
from murine.progress import Progress

if TYPE_CHECKING:
    from murine.networks.spec import NetworkSpec


class UnitComparison:
    """Networks whose units are compared with the neurons of one recording.

    Parameters
    ----------
    table
        ``matches`` or ``maps``: the table of the atlas that holds the rows.
    labels
        What is known of the neurons, a row for each (`NeuronData.labels`).
    atlas
        Where results are.

    Attributes
    ----------
    done
        Each network's result with the comparison that it is of, in the order of computation.
    flags
        Why neurons have no score, by neuron; known after `site_tables`.
    """

    def __init__(self, table: str, labels: pd.DataFrame, atlas: Atlas) -> None:
        self.table, self.labels, self.atlas = table, labels, atlas
        self.done: list[tuple[Matching | MapComparison, NetworkResult]] = []
        self.flags: dict[str, str] = {}

    @property
    def results(self) -> list[NetworkResult]:
        """What became of each network."""
        return [result for _, result in self.done]

    @property
    def finished(self) -> list[tuple[Matching | MapComparison, NetworkResult]]:
        """The networks that have rows."""
        return [(comparison, result) for comparison, result in self.done if result.tasks]

    @property
    def n_unlabelled(self) -> int:
        """How many neurons lack one of the labels."""
        return int((self.labels == "").any(axis=1).sum())

    def run(
        self,
        comparisons: Sequence[Matching | MapComparison],
        networks: Sequence[NetworkSpec],
        progress: Progress,
        *,
        isolated: bool,
        time_limit: float,
    ) -> None:
        """Compute what the atlas does not have; `murine.atlas.sweep.each` explains the options."""
        for comparison in comparisons:
            swept = each(comparison, networks, self.atlas, progress, isolated=isolated, time_limit=time_limit)
            self.done += [(comparison, result) for result in swept]

    def site_tables(self, progress: Progress, *, over: str, n_bootstraps: int, seed: int) -> pd.DataFrame:
        """Return the rows of `murine.atlas.unit_sweep.site_table` of all networks.

        A network of which no neuron has a score counts as failed afterwards, with the reason. Without any network the
        table is empty.
        """
        tables = []
        with progress.task("tables of sites", len(self.done)) as bar:
            for i, (comparison, result) in enumerate(self.done):
                try:
                    for task in result.tasks:
                        rows = self.atlas.read_units(self.table, task)
                        self.flags |= unscored(rows)
                        tables.append(site_table(rows, self.labels, over=over, n_bootstraps=n_bootstraps, seed=seed))
                except MurineError as error:
                    self.done[i] = comparison, replace(result, state="failed", tasks=(), reason=str(error))
                bar.advance()
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def export(self, file: Path) -> None:
        """Write all rows into one file, ``.parquet`` or ``.csv``; nothing where there is none."""
        if self.finished:
            self.atlas.export_units(self.table, [task for _, result in self.finished for task in result.tasks], file)
