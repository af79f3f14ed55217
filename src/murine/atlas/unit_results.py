"""Comparisons of units with neurons for many networks: computed where missing, then read as one table of sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from murine.atlas.limits import TIME_LIMIT
from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult, each
from murine.atlas.unit_sweep import MapComparison, Matching, site_table, unscored
from murine.cortex.response_maps import SIDE
from murine.errors import MurineError
from murine.progress import Progress, Silent

if TYPE_CHECKING:
    from murine.cortex.dataset import Dataset
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
        """The result of each network."""
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
        """Compute the results that the atlas does not have; `murine.atlas.sweep.each` explains the options."""
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


def compare_maps(
    networks: Sequence[str],
    data: str | Path | Dataset,
    *,
    by: Sequence[str] = ("area",),
    side: int = SIDE,
    centred: bool = True,
    input_size: int | tuple[int, int] | None = None,
    n_shuffles: int = 1,
    seed: int = 0,
    atlas: Atlas | str | Path = "atlas",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compare the maps of all neurons with those of all units of several networks: what ``murine maps`` does.

    Parameters
    ----------
    networks
        Names as in `murine.networks.spec.expand`.
    data
        A name, a file or a `Dataset` with single neurons.
    by
        Labels of neurons that make sites; they become columns.
    side, centred
        As in `murine.units.layer_maps.map_layers`.
    input_size
        Of the networks, in pixels; None for their own.
    n_shuffles, seed
        Relabellings of the stimuli for chance, and their seed.
    atlas
        Where rows are kept and found again.

    Returns
    -------
    rows
        A row for each network, layer and neuron, with the labels.

    Raises
    ------
    MurineError
        If there are no single neurons, a label is unknown, or no network has maps.
    """
    from murine.atlas.identity import CortexSettings
    from murine.atlas.unit_sweep import NeuronData, UnitSettings, with_labels
    from murine.cortex.dataset import Dataset
    from murine.networks.spec import expand

    given = data if isinstance(data, Dataset) else None
    neurons = NeuronData(CortexSettings(cortex=data.name if isinstance(data, Dataset) else str(data)), given=given)
    store = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
    comparison = UnitComparison("maps", neurons.labels(by), store)
    settings = UnitSettings(input_size=input_size, n_shuffles=n_shuffles, seed=seed)
    runner = MapComparison(neurons, settings, (side,), centred=centred)
    comparison.run([runner], expand(networks), progress or Silent(), isolated=False, time_limit=TIME_LIMIT)
    if failed := [result for result in comparison.results if not result.tasks]:
        raise MurineError("\n".join(f"{result.spec}: {result.reason}" for result in failed))
    tasks = [task for result in comparison.results for task in result.tasks]
    return pd.concat([with_labels(store.read_units("maps", task), comparison.labels) for task in tasks])
