"""Sweeps: many networks against one cortex; only missing results are computed.

Networks are code of other people. They run in separate processes, unless they are few and trusted. So a network that
crashes, hangs or exits does not stop the other networks. This module does not import PyTorch, so a finished sweep is
reported at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from murine.atlas.finished_work import data_fingerprint, request_digest
from murine.atlas.identity import CortexSettings
from murine.atlas.limits import TIME_LIMIT
from murine.atlas.store import Atlas
from murine.errors import MurineError, reason_of
from murine.networks.spec import NetworkSpec
from murine.progress import Progress, Silent
from murine.scoring.settings import ScoreSettings
from murine.scoring.treatments import Treatment

if TYPE_CHECKING:
    from murine.atlas.network_scorer import NetworkScorer
    from murine.cortex.dataset import Dataset

log = logging.getLogger(__name__)

#: Names for several metrics: every one; those of Conwell et al. (2021).
GROUPS: dict[str, tuple[str, ...]] = {
    "all": (),
    "conwell2021": ("rsa-pearson", "rsa-reweighted", "ridge-conwell2021-per-neuron"),
}


@dataclass(frozen=True)
class SweepSettings:
    """The settings of a sweep, except the networks.

    Attributes
    ----------
    cortex
        Which neurons are used, and how they are grouped; ``cortex.cortex`` is a name or a file that `load_dataset`
        takes.
    metrics
        Names in `murine.scoring.metric.metrics`, or in `GROUPS`. Of a group, only metrics that the data allow are
        computed.
    layers, input_size
        As in `capture` and `zoo.load`.
    scoring
        Bootstrap samples, permutations, seed; whether neurons or animals are resampled, too.
    data, stimuli
        Folders, as in `load_dataset`.
    batch_size, device
        Number of images per pass, and the device. They cannot change a result.
    treatments
        Standardisation of neurons and features. Several treatments are computed from one pass through the network.
    """

    cortex: CortexSettings
    metrics: tuple[str, ...] = ("rsa-pearson",)
    layers: str = "own"
    input_size: int | tuple[int, int] | None = None
    scoring: ScoreSettings = field(default_factory=ScoreSettings)
    data: Path | None = None
    stimuli: Path | None = None
    batch_size: int | None = None
    device: str = "cpu"
    treatments: tuple[Treatment, ...] = (Treatment(),)


@dataclass(frozen=True)
class NetworkResult:
    """The result of one network: ``computed``, ``done`` already, or ``failed`` with a reason.

    Attributes
    ----------
    spec
        The network: its name, weights and inserted layers.
    state
        What happened to it.
    tasks
        Digests of its results in the atlas (see `murine.Atlas.about`), one for each metric and treatment; none after a
        failure.
    reason
        Why it failed; '' otherwise.
    seconds, peak_memory
        Seconds that it took, and the most bytes that its process held; None where that was not measured.
    ran
        Whether the network was shown images. Otherwise its kernels were stored, or nothing was missing.

    Examples
    --------
    >>> import murine
    >>> result = murine.score("pixels", "simulated", n_bootstraps=20, n_permutations=20).results[0]
    >>> result.state, len(result.tasks)
    ('computed', 1)
    """

    spec: NetworkSpec
    state: Literal["computed", "done", "failed"]
    tasks: tuple[str, ...] = ()
    reason: str = ""
    seconds: float | None = None
    peak_memory: int | None = None
    ran: bool = False


@runtime_checkable
class NetworkTask(Protocol):
    """The task that a sweep runs for each network. It must pickle, because processes get a copy."""

    def asked(self, spec: NetworkSpec) -> dict[str, str]:
        """The task in words, for records of failures."""

    def known(self, spec: NetworkSpec, atlas: Atlas) -> NetworkResult | None:
        """Return the result of a network if it is done already, without building the network; else None."""

    def prepare(self) -> None:
        """Load the data that all networks share; a `MurineError` ends the sweep."""

    def run(self, spec: NetworkSpec, atlas: Atlas, progress: Progress | None = None) -> NetworkResult:
        """Run the task, unless it is done. An `UnusableDataError` ends the sweep."""


class UnusableDataError(MurineError):
    """An error in the data, which concerns every network of a sweep."""


@runtime_checkable
class WatchedProgress(Progress, Protocol):
    """Progress of a network; the network is stopped if it makes no progress for too long."""

    def own_work(self) -> AbstractContextManager[None]:
        """Do not count the time in this block."""


def own_work(progress: Progress | None) -> AbstractContextManager[None]:
    """Mark work of murine itself: it may take long, and the time limit of the network does not apply."""
    return progress.own_work() if isinstance(progress, WatchedProgress) else nullcontext()


def size_text(input_size: int | tuple[int, int] | None) -> str:
    """Return an input size in words: ``64x64`` (height x width), or ``native``."""
    size = (input_size, input_size) if isinstance(input_size, int) else input_size
    return "native" if size is None else f"{size[0]}x{size[1]}"


def asked_of(
    work: str, spec: NetworkSpec, input_size: int | tuple[int, int] | None, layers: str, cortex: CortexSettings
) -> dict[str, str]:
    """Return `NetworkTask.asked` of every task."""
    return {
        "work": work,
        "network": spec.full_name,
        "weights": spec.weights,
        "input_size": size_text(input_size),
        "layers": layers,
        "cortex": cortex.cortex,
        "cortex_settings": cortex.digest,
    }


class ScoringTask:
    """Scores networks by the settings of a sweep. It imports its modules only where networks run.

    Parameters
    ----------
    data
        The data set, where it is in memory already. Networks then run in this process.
    """

    def __init__(self, settings: SweepSettings, data: Dataset | None = None) -> None:
        self.settings = settings
        self._given = data
        self._scorer: NetworkScorer | None = None

    def __reduce__(self) -> tuple[type[ScoringTask], tuple[SweepSettings]]:
        """A copy in another process loads its own data."""
        return ScoringTask, (self.settings,)

    def asked(self, spec: NetworkSpec) -> dict[str, str]:
        """As `NetworkTask.asked`."""
        return asked_of("score", spec, self.settings.input_size, self.settings.layers, self.settings.cortex)

    def known(self, spec: NetworkSpec, atlas: Atlas) -> NetworkResult | None:
        """As `NetworkTask.known`, from the requests of the atlas."""
        request = request_digest(self.settings, spec, self._fingerprint)
        tasks = None if request is None else atlas.answered(request)
        return None if tasks is None else NetworkResult(spec, "done", tasks)

    @cached_property
    def _fingerprint(self) -> str | None:
        return None if self._given else data_fingerprint(self.settings)

    @property
    def scorer(self) -> NetworkScorer:
        """The scorer, prepared."""
        if self._scorer is None:
            from murine.atlas.network_scorer import ready

            self._scorer = ready(self.settings, self._given)
        return self._scorer

    def prepare(self) -> None:
        """As `murine.atlas.network_scorer.ready`, once."""
        _ = self.scorer

    def prepare_like(self, other: NetworkScorer | None) -> NetworkScorer:
        """Prepare with what another scorer has loaded and computed, where that is the same for these settings."""
        if self._scorer is None and other is not None:
            self._scorer = other.with_settings(self.settings)
        return self.scorer

    def run(self, spec: NetworkSpec, atlas: Atlas, progress: Progress | None = None) -> NetworkResult:
        """Score one network, unless that is done."""
        return self.scorer.run(spec, atlas, progress)


def sweep(
    specs: Sequence[NetworkSpec],
    settings: SweepSettings,
    atlas: Atlas,
    *,
    jobs: int = 1,
    isolated: bool = False,
    time_limit: float | None = TIME_LIMIT,
    progress: Progress | None = None,
    announce: Callable[[NetworkResult], None] = lambda result: None,
) -> list[NetworkResult]:
    """Score networks, one after the other or in ``jobs`` processes.

    A network that cannot be scored is reported in its result and among the failures of the atlas; the others go on.
    What is finished is on disk at once, so a sweep may be stopped at any time and started again.

    Parameters
    ----------
    jobs
        Number of processes that share the networks.
    isolated
        Whether networks run in a separate process even if ``jobs`` is 1, so that a crash or a hang is recorded as a
        failure. Otherwise they run in this process, which is quicker for a few trusted networks.
    time_limit
        Seconds without progress after which a network in another process is stopped; None for no limit.

    Raises
    ------
    MurineError
        If the cortex itself cannot be used, or a metric is unknown.
    """
    results = []
    for result in each(
        ScoringTask(settings), specs, atlas, progress, jobs=jobs, isolated=isolated, time_limit=time_limit
    ):
        results.append(result)
        announce(result)
    return results


def each(
    task: NetworkTask,
    specs: Sequence[NetworkSpec],
    atlas: Atlas,
    progress: Progress | None = None,
    *,
    jobs: int = 1,
    isolated: bool = False,
    time_limit: float | None = TIME_LIMIT,
    n_threads: int | None = None,
) -> Iterator[NetworkResult]:
    """Run a task for every network; a network that fails does not stop the others. Parameters as in `sweep`.

    ``n_threads`` is the number of threads that a network computes with; by default those of the machine, at most 8.
    """
    with (progress or Silent()).task("networks", len(specs)) as bar:
        for result in _results(task, specs, atlas, progress, jobs, isolated, time_limit, n_threads):
            record(task.asked(result.spec), result, atlas)
            bar.advance(done=f"{result.spec}: {result.state}")
            yield result


def _results(
    task: NetworkTask,
    specs: Sequence[NetworkSpec],
    atlas: Atlas,
    progress: Progress | None,
    jobs: int,
    isolated: bool,
    time_limit: float | None,
    n_threads: int | None,
) -> Iterator[NetworkResult]:
    """Return the known results first. The code that runs networks is imported only if some are missing."""
    missing = []
    for spec in specs:
        if (result := task.known(spec, atlas)) is None:
            missing.append(spec)
        else:
            yield result
    if not missing:
        return
    if isolated or jobs > 1:
        from murine.atlas.workers import WorkerPool

        with WorkerPool(task, atlas.folder, min(jobs, len(missing)), time_limit, progress, n_threads) as pool:
            yield from pool.run(missing)
    else:
        from murine.atlas.worker import in_this_process

        yield from in_this_process(task, missing, atlas, progress, n_threads)


def record(asked: dict[str, str], result: NetworkResult, atlas: Atlas) -> None:
    """Record a failure in the atlas, or delete its record."""
    try:
        if result.state == "failed":
            atlas.add_failure(asked, result.reason)
        else:
            atlas.remove_failure(asked)
    except MurineError as error:
        log.warning("the failure of %s is not recorded: %s", result.spec, reason_of(error))
