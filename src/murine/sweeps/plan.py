"""The plan of a sweep: what is done, what is missing, and what the missing part costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from murine.atlas.store import Atlas
from murine.errors import MurineError
from murine.networks.memory import available_memory
from murine.progress import Progress
from murine.sweeps.sweep_file import SweepFile, SweepUnit
from murine.sweeps.sweep_task import SweepTask
from murine.sweeps.task_log import cost_key, past_costs

#: Where a prediction comes from.
HISTORY, SHAPES = "earlier runs", "shapes"

#: The columns of `SweepPlan.table`.
PLAN_COLUMNS = {
    "network": "The network, with inserted layers.",
    "weights": "Its weights; empty for the usual ones.",
    "input_size": "Height x width of the images, or native.",
    "cortex": "The data set.",
    "seed": "The seed of resampling.",
    "state": "done or missing.",
    "seconds": "Predicted seconds on this machine; empty for done units and where nothing is known.",
    "memory": "Predicted bytes of memory; empty for done units and where nothing is known.",
    "disk": "Predicted bytes of stored kernels; empty where shapes were not read.",
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
        """Missing units that need more memory than there is, even with few images at a time."""
        missing = self.table[self.table.state == "missing"]
        return missing[missing.memory > self.available]

    def summary(self, jobs: int = 1) -> str:
        """Return the plan in words: the number of units, time with ``jobs`` processes, memory and disk."""
        from murine.progress import duration

        missing = self.table[self.table.state == "missing"]
        known = missing.dropna(subset="seconds")
        words = [f"{len(self.units)} tasks: {len(self.done)} done, {len(missing)} missing."]
        if len(known):
            words.append(
                f"Predicted for {len(known)} of the missing: {duration(known.seconds.sum() / max(jobs, 1))} with "
                f"{jobs} process{'es' * (jobs != 1)}, up to {_bytes(known.memory.max())} of memory each."
            )
        if missing.disk.notna().any():
            words.append(f"Kernels take {_bytes(missing.disk.sum())} of disk.")
        if len(self.too_large):
            names = ", ".join(dict.fromkeys(self.too_large.network))
            words.append(f"Not enough memory ({_bytes(self.available)}) for {names}.")
        return " ".join(words)


def plan_sweep(
    sweep: SweepFile,
    units: Sequence[SweepUnit],
    task: SweepTask,
    atlas: Atlas,
    progress: Progress,
    *,
    shapes: bool = True,
) -> SweepPlan:
    """Look up which units are done, and predict the cost of the others.

    Parameters
    ----------
    sweep, units, task
        The sweep, its units, and the task that runs them.
    shapes
        Whether to read the shapes of networks that have not run before. It takes a second for each; without it, only
        earlier runs tell costs.
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
            "memory": None,
            "disk": None,
            "prediction": "",
        }
        if unit not in done and (cost := past.get(cost_key(asked))):
            row |= {"seconds": cost.seconds, "memory": cost.peak_memory, "prediction": HISTORY}
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(PLAN_COLUMNS))
    numbers = ["seconds", "memory", "disk"]
    table[numbers] = table[numbers].astype("float64")
    if shapes:
        _predict_from_shapes(table, sweep, units, task, progress)
    return SweepPlan(tuple(units), frozenset(done), table, available_memory())


def _predict_from_shapes(
    table: pd.DataFrame, sweep: SweepFile, units: Sequence[SweepUnit], task: SweepTask, progress: Progress
) -> None:
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
                batch_size=sweep.batch_size,
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
            table.loc[i, ["seconds", "memory", "disk"]] = [cost.seconds, cost.cost.memory, disk]
            table.loc[i, "prediction"] = SHAPES


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            break
        number /= 1000
    else:
        unit = "TB"
    return f"{number:.3g} {unit}"


