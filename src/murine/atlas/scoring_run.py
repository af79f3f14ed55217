"""Score networks that are named and networks in memory, and read the scores back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from murine.atlas.scores import Scores
from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult, ScoringTask, SweepSettings, UnusableDataError, each
from murine.errors import MurineError, reason_of
from murine.networks.spec import NetworkSpec
from murine.progress import Progress, progress_bars

if TYPE_CHECKING:
    from murine.cortex.dataset import Dataset
    from murine.networks.network import Network

log = logging.getLogger(__name__)


class NothingScoredError(MurineError):
    """No network could be scored.

    Attributes
    ----------
    results
        What became of each network, with the reason.
    """

    def __init__(self, results: Sequence[NetworkResult]) -> None:
        super().__init__(failures_in_words(results))
        self.results = tuple(results)


def failures_in_words(results: Sequence[NetworkResult]) -> str:
    """Return why networks could not be scored: a line for each, and how many they are."""
    failed = [result for result in results if result.state == "failed"]
    several = "" if len(results) == 1 else f"{len(failed)} of {len(results)} networks could not be scored:\n"
    return several + "\n".join(f"{result.spec}: {result.reason}" for result in failed)


def score_networks(
    named: Sequence[NetworkSpec],
    in_memory: Sequence[Network],
    settings: Sequence[SweepSettings],
    atlas: Atlas | None,
    data: Dataset | None,
    *,
    jobs: int,
    isolated: bool,
    time_limit: float | None,
    progress: Progress | bool,
) -> Scores:
    """Score networks by the settings of every input size, unless that is done. Failures are logged.

    Parameters
    ----------
    named, in_memory
        The networks. Those in memory have their input size, so they are scored by the first settings only.
    settings
        One for each input size.
    atlas
        Where results are kept; None to keep none.
    data
        The data set, where it is in memory; networks then run in this process.
    jobs, isolated, time_limit
        As in `murine.atlas.sweep.sweep`.
    progress
        True shows progress on standard error.

    Raises
    ------
    MurineError
        If the data cannot be used, or no network could be scored.
    """
    kept = TemporaryDirectory(prefix="murine-") if atlas is None else nullcontext("")
    shown = progress_bars(progress) if isinstance(progress, bool) else nullcontext(progress)
    with kept as folder, shown as bars:
        store = Atlas(folder) if atlas is None else atlas
        results: list[NetworkResult] = []
        for number, of_size in enumerate(settings):
            task = ScoringTask(of_size, data)
            apart = data is None
            results += each(
                task,
                named,
                store,
                bars,
                jobs=jobs if apart else 1,
                isolated=isolated and apart,
                time_limit=time_limit,
            )
            if number == 0:
                results += [_score_in_memory(task, network, store, bars) for network in in_memory]
        tasks = {digest for result in results for digest in result.tasks}
        if not tasks:
            raise NothingScoredError(results)
        with bars.task("reading scores", None):
            scores = Scores.from_atlas(store, tasks, results, lasts=atlas is not None)
    if scores.failures:
        log.error("%s", failures_in_words(results))
    return scores


def _score_in_memory(task: ScoringTask, network: Network, atlas: Atlas, progress: Progress) -> NetworkResult:
    """Score one network in this process; what it raises is its failure."""
    from murine.atlas.worker import fixed_threads
    from murine.networks.memory import freed_memory_kept

    scorer = task.scorer
    network.module.to(scorer.settings.device)
    try:
        with fixed_threads(), freed_memory_kept():
            return scorer.score(network, atlas, progress)
    except UnusableDataError:
        raise
    except Exception as error:
        return NetworkResult(NetworkSpec(network.name, network.weights), "failed", reason=reason_of(error))
