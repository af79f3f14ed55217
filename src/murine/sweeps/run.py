"""Run a sweep in this process, in local processes or on a Dask cluster, or one shard of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult, each, record
from murine.errors import MurineError
from murine.networks.spec import NetworkSpec
from murine.progress import Progress, progress_bars
from murine.sweeps.plan import SweepPlan, plan_sweep
from murine.sweeps.sweep_file import SweepFile, SweepUnit, read_sweep, units
from murine.sweeps.sweep_task import SweepTask
from murine.sweeps.task_log import TaskLog

if TYPE_CHECKING:
    from murine.atlas.scores import Scores


@dataclass(frozen=True)
class SweepOutcome:
    """The results of a sweep.

    Attributes
    ----------
    atlas
        Where the rows are.
    results
        What became of each unit: computed, done before, or failed with a reason.
    plan
        What was done and what was missing before the run.

    Examples
    --------
    >>> outcome = sweep({"networks": "no_such_file.py:net", "controls": False, "data": "simulated"}, isolated=False)
    >>> outcome.count("failed"), list(outcome.failures)
    (1, ['no_such_file.py:net'])
    """

    atlas: Atlas
    results: tuple[NetworkResult, ...]
    plan: SweepPlan

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.count(state)} {state}" for state in ("computed", "done", "failed"))
        return f"<SweepOutcome in {str(self.atlas.folder)!r}: {counts}>"

    def count(self, state: str) -> int:
        """Return how many units were ``computed``, ``done`` before, or ``failed``."""
        return sum(result.state == state for result in self.results)

    @property
    def failures(self) -> dict[str, str]:
        """Reasons by network and settings."""
        return {str(result.spec): result.reason for result in self.results if result.state == "failed"}

    @property
    def scores(self) -> Scores:
        """The scores of all units.

        Raises
        ------
        MurineError
            If no unit has scores.
        """
        from murine.atlas.scores import Scores

        tasks = {task for result in self.results for task in result.tasks}
        if not tasks:
            raise MurineError("no unit of the sweep has scores; `failures` says why.")
        return Scores.from_atlas(self.atlas, tasks, list(self.results), lasts=True)


def sweep(
    source: str | Path | Mapping[str, Any] | SweepFile,
    atlas: Atlas | str | Path = "atlas",
    *,
    jobs: int = 1,
    cluster: str = "",
    shard: str = "",
    isolated: bool = True,
    progress: Progress | bool = False,
    announce: Callable[[SweepPlan], None] | None = None,
) -> SweepOutcome:
    """Score every network of a sweep under all its settings. Only what the atlas lacks is computed.

    The rows are the same, to the last bit, wherever a sweep runs. A unit that fails is recorded in the atlas with its
    reason, and the others go on. What is finished is stored at once: a sweep may be stopped and started again, also
    by another client on the same file system.

    Parameters
    ----------
    source
        A YAML file, or its content as a mapping (`murine.sweeps.SweepFile`).
    atlas
        The folder of results.
    jobs
        Number of processes on this machine.
    cluster
        Where to run instead: the address of a Dask scheduler (``tcp://HOST:PORT``), ``local``, or a YAML file that
        describes jobs of a batch system (docs/sweeps.md).
    shard
        ``I/N``: only the networks of shard I of N, numbered from 0, which are chosen by a hash of their names.
    isolated
        Whether networks run in other processes even if ``jobs`` is 1, so that a crash is recorded as a failure.
    progress
        True shows progress on standard error.
    announce
        Called with the plan before the first network.

    Raises
    ------
    MurineError
        If the sweep, the data or the cluster cannot be used.

    Examples
    --------
    >>> outcome = sweep(
    ...     {"networks": "pixels", "controls": False, "data": "simulated", "bootstraps": 20, "permutations": 20},
    ...     "atlas",
    ...     isolated=False,
    ... )
    >>> outcome
    <SweepOutcome in 'atlas': 1 computed, 0 done, 0 failed>
    >>> sorted(outcome.scores.table.site)
    ['SIMam', 'SIMl', 'SIMp']
    """
    asked = read_sweep(source)
    store = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
    with progress_bars(progress) if isinstance(progress, bool) else nullcontext(progress) as bars:
        task, chosen = prepared(asked, shard)
        plan = plan_sweep(chosen, task, store, bars, shapes="many")
        if announce is not None:
            announce(plan)
        log = TaskLog(store.folder)
        results = []
        for result in _run(task, chosen, plan, store, asked, jobs, cluster, isolated, bars):
            if result.state != "done":
                log.add(task.asked(result.spec), result)
            results.append(result)
    order = {unit: i for i, unit in enumerate(chosen)}
    return SweepOutcome(store, tuple(sorted(results, key=lambda result: order.get(result.spec, 0))), plan)  # type: ignore[call-overload]


def prepared(sweep: SweepFile, shard: str = "") -> tuple[SweepTask, list[SweepUnit]]:
    """Return the task of a sweep and its units, or those of a shard.

    Raises
    ------
    MurineError
        If a network or an option is unknown.
    """
    task = SweepTask(sweep.settings())
    return task, list(units(in_shard(sweep.specs(), shard), task.settings))


def in_shard(specs: Sequence[NetworkSpec], shard: str) -> list[NetworkSpec]:
    """Return the networks of shard ``I/N``, chosen by a hash of their names; all of them for an empty text.

    Raises
    ------
    MurineError
        If the text is not of this form, or I is not below N.

    Examples
    --------
    >>> specs = [NetworkSpec(name) for name in ("resnet18", "resnet34", "resnet50")]
    >>> sum(len(in_shard(specs, f"{i}/2")) for i in range(2))
    3
    """
    if not shard:
        return list(specs)
    match = re.fullmatch("([0-9]{1,6})/([0-9]{1,6})", shard)
    if not match or int(match[1]) >= int(match[2]):
        raise MurineError(
            f"the shard {shard!r} is not understood; expected I/N with I from 0 to N-1, for example 0/10."
        )
    number, count = int(match[1]), int(match[2])
    return [spec for spec in specs if _hash(spec) % count == number]


def _hash(spec: NetworkSpec) -> int:
    return int.from_bytes(hashlib.sha256(str(spec).encode("utf-8", "surrogatepass")).digest()[:8], "big")


def _run(
    task: SweepTask,
    chosen: Sequence[SweepUnit],
    plan: SweepPlan,
    atlas: Atlas,
    sweep: SweepFile,
    jobs: int,
    cluster: str,
    isolated: bool,
    progress: Progress,
) -> Iterator[NetworkResult]:
    """Refuse what is too large, yield what is done, and run the others where they shall run."""
    refused = plan.refused
    for result in refused:
        record(task.asked(result.spec), result, atlas)
        yield result
    left_out = {result.spec for result in refused}
    chosen = [unit for unit in chosen if unit not in left_out]
    if not cluster or not plan.missing:
        yield from each(
            task,
            chosen,
            atlas,
            progress,
            jobs=jobs,
            isolated=isolated,
            time_limit=sweep.time_limit,
            n_threads=sweep.threads,
        )
        return
    from murine.sweeps.dask_run import in_dask

    with progress.task("networks", len(chosen)) as bar:
        for unit in chosen:
            if unit in plan.done and (known := task.known(unit, atlas)) is not None:
                bar.advance(done=f"{unit}: done")
                yield known
        missing = [unit for unit in chosen if unit not in plan.done]
        for result in in_dask(task, missing, atlas, cluster, jobs, sweep.time_limit, sweep.threads):
            record(task.asked(result.spec), result, atlas)
            bar.advance(done=f"{result.spec}: {result.state}")
            yield result
