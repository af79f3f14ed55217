"""The plan of a sweep: what is done, what is missing, and what the missing part costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import pandas as pd

from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult
from murine.errors import MurineError
from murine.networks.memory import available_memory
from murine.progress import Progress
from murine.sweeps.sweep_file import SweepUnit
from murine.sweeps.sweep_task import SweepTask
from murine.sweeps.task_log import cost_key, past_costs

#: Where a prediction comes from.
HISTORY, SHAPES = "earlier runs", "shapes"

#: Networks without earlier runs for which a prediction is worth its time before every run.
MANY = 20

#: The columns of `SweepPlan.table`.
PLAN_COLUMNS = {
    "network": "The network, with inserted layers.",
    "weights": "Its weights; empty for the usual ones.",
    "input_size": "Height x width of the images, or native.",
    "cortex": "The data set.",
    "seed": "The seed of resampling.",
    "state": "done or missing.",
    "seconds": "Predicted seconds on this machine; empty for done units and where nothing is known.",
    "memory_gb": "Predicted memory in 10^9 bytes; empty for done units and where nothing is known.",
    "disk_gb": "Predicted size of stored kernels in 10^9 bytes; empty where shapes were not read.",
    "prediction": "earlier runs (of the same network, from the log of the atlas), shapes, or the reason for none.",
}


@dataclass(frozen=True)
class SweepPlan:
    """The units of a sweep, which of them are done, and the predicted cost of the others.

    Attributes
    ----------
    units
        Every network under all settings.
    done
        Units whose results are stored.
    table
        A row for each unit, with the columns `PLAN_COLUMNS`.
    available
        Bytes of memory that are available on this machine or in its container.

    Examples
    --------
    >>> SweepPlan((), frozenset(), pd.DataFrame(columns=list(PLAN_COLUMNS)), 10**9).summary()
    '0 tasks: 0 done, 0 missing.'
    """

    units: tuple[SweepUnit, ...]
    done: frozenset[SweepUnit]
    table: pd.DataFrame
    available: int

    @property
    def missing(self) -> list[SweepUnit]:
        """The units that must be computed."""
        return [unit for unit in self.units if unit not in self.done]

    @cached_property
    def too_large(self) -> pd.DataFrame:
        """Missing units that need more memory than there is, even with few images at a time: by their shapes."""
        missing = self.table[self.table.state == "missing"]
        return missing[(missing.memory_gb > _gb(self.available)) & (missing.prediction == SHAPES)]

    @property
    def refused(self) -> list[NetworkResult]:
        """Units that are too large for this machine, as failures with the reason."""
        return [
            NetworkResult(
                self.units[i],
                "failed",
                reason=f"it needs about {row.memory_gb:.1f} GB of memory, and {self.available / 1e9:.1f} GB are "
                "available; a smaller input size or fewer layers need less",
            )
            for i, row in self.too_large.iterrows()
        ]

    def summary(self, jobs: int = 1) -> str:
        """Return the plan in words: the number of units, time with ``jobs`` processes, memory and disk."""
        from murine.progress import duration

        missing = self.table[self.table.state == "missing"]
        known = missing.dropna(subset="seconds")
        words = [f"{len(self.units)} tasks: {len(self.done)} done, {len(missing)} missing."]
        if len(known):
            words.append(
                f"Predicted for {len(known)} of the missing: {duration(known.seconds.sum() / max(jobs, 1))} with "
                f"{jobs} process{'es' * (jobs != 1)}, up to {known.memory_gb.max():.2f} GB of memory each."
            )
        if missing.disk_gb.notna().any():
            words.append(f"Kernels take {missing.disk_gb.sum():.2f} GB of disk.")
        if len(self.too_large):
            names = ", ".join(dict.fromkeys(self.too_large.network))
            words.append(f"Too large for the {self.available / 1e9:.1f} GB of memory that are available: {names}.")
        return " ".join(words)


def plan_sweep(
    units: Sequence[SweepUnit],
    task: SweepTask,
    atlas: Atlas,
    progress: Progress,
    *,
    shapes: Literal["all", "many"] = "all",
) -> SweepPlan:
    """Look up which units are done, and predict the cost of the others.

    Parameters
    ----------
    units, task
        The units of the sweep, and the task that runs them.
    shapes
        Of which networks without earlier runs the shapes are read, which takes about a second for each: ``all``, or
        ``many`` for all if they are at least `MANY`, and else none.

    Examples
    --------
    >>> from murine.atlas.store import Atlas
    >>> from murine.progress import Silent
    >>> from murine.sweeps.run import prepared
    >>> from murine.sweeps.sweep_file import read_sweep
    >>> task, units = prepared(read_sweep({"networks": "pixels", "controls": False, "data": "simulated"}))
    >>> plan = plan_sweep(units, task, Atlas("no-such-atlas"), Silent(), shapes="many")
    >>> plan.summary()
    '1 tasks: 0 done, 1 missing.'
    """
    done = set()
    with progress.task("looking up results", len(units)) as bar:
        for unit in units:
            if task.known(unit, atlas) is not None:
                done.add(unit)
            bar.advance()
    past = past_costs(atlas.folder)
    rows = []
    for unit in units:
        asked = task.asked(unit)
        settings = task.settings[unit.settings]
        row = {
            "network": unit.full_name,
            "weights": unit.weights,
            "input_size": asked["input_size"],
            "cortex": asked["cortex"],
            "seed": settings.scoring.seed,
            "state": "done" if unit in done else "missing",
            "seconds": None,
            "memory_gb": None,
            "disk_gb": None,
            "prediction": "",
        }
        if unit not in done and (cost := past.get(cost_key(asked))):
            row |= {"seconds": cost.seconds, "memory_gb": _gb(cost.peak_memory), "prediction": HISTORY}
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(PLAN_COLUMNS))
    numbers = ["seconds", "memory_gb", "disk_gb"]
    table[numbers] = table[numbers].astype("float64")
    unknown = table[(table.state == "missing") & (table.prediction == "")]
    if len(unknown) and (shapes == "all" or unknown.network.nunique() >= MANY):
        _predict_from_shapes(table, units, task, progress)
    return SweepPlan(tuple(units), frozenset(done), table, available_memory())


def _predict_from_shapes(table: pd.DataFrame, units: Sequence[SweepUnit], task: SweepTask, progress: Progress) -> None:
    """Fill in the costs of units without earlier runs: the first data set of a network pays for its pass."""
    wanted = table.index[(table.state == "missing") & (table.prediction == "")]
    for number, settings in enumerate(task.settings):
        rows = [i for i in wanted if units[i].settings == number]
        if not rows:
            continue
        from murine.atlas.cost_plan import plan_costs

        # Weights change no shape, and a control has none.
        networks = {i: replace(units[i].network, weights="") for i in rows}
        try:
            costs = plan_costs(
                list(dict.fromkeys(networks.values())),
                [settings.input_size],
                progress,
                against=settings.cortex.cortex,
                metrics=settings.metrics,
                layers=settings.layers,
                data=settings.data,
                stimuli=settings.stimuli,
                batch_size=settings.batch_size,
            )
        except MurineError as error:
            table.loc[rows, "prediction"] = str(error)
            continue
        found = {cost.network: cost for cost in costs.networks}
        reasons = dict(text.split(": ", 1) for text in costs.failures)
        for i in rows:
            if (cost := found.get(networks[i].full_name)) is None:
                table.loc[i, "prediction"] = reasons.get(networks[i].full_name, "unknown")
                continue
            disk = 4 * costs.n_stimuli * (costs.n_stimuli + 1) * cost.work.n_outputs
            table.loc[i, ["seconds", "memory_gb", "disk_gb"]] = [cost.seconds, _gb(cost.cost.memory), _gb(disk)]
            table.loc[i, "prediction"] = SHAPES


def _gb(n_bytes: float | None) -> float:
    return math.nan if n_bytes is None else n_bytes / 1e9
