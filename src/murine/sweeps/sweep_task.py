"""The task of a sweep: networks under several settings, by scorers that share the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult, ScoringTask, SweepSettings
from murine.networks.spec import NetworkSpec
from murine.progress import Progress
from murine.sweeps.running import marked_as_running
from murine.sweeps.sweep_file import SweepUnit

if TYPE_CHECKING:
    from murine.atlas.network_scorer import NetworkScorer


class SweepTask:
    """Scores the units of a sweep: a `murine.atlas.sweep.NetworkTask`.

    Parameters
    ----------
    settings
        The settings that units number.
    """

    def __init__(self, settings: Sequence[SweepSettings]) -> None:
        self.settings = tuple(settings)
        self._tasks = [ScoringTask(each) for each in settings]

    def __reduce__(self) -> tuple[type[SweepTask], tuple[Sequence[SweepSettings]]]:
        """A copy in another process loads its own data."""
        return SweepTask, (self.settings,)

    def asked(self, spec: NetworkSpec) -> dict[str, str]:
        """As `NetworkTask.asked`."""
        return self._task_of(spec).asked(_network(spec))

    def known(self, spec: NetworkSpec, atlas: Atlas) -> NetworkResult | None:
        """As `NetworkTask.known`."""
        result = self._task_of(spec).known(_network(spec), atlas)
        return None if result is None else replace(result, spec=spec)

    def prepare(self) -> None:
        """Load all data sets, each once, so that an error in one ends the sweep before the first network."""
        scorer: NetworkScorer | None = None
        for task in self._tasks:
            scorer = task.prepare_like(scorer)

    def run(self, spec: NetworkSpec, atlas: Atlas, progress: Progress | None = None) -> NetworkResult:
        """Score one unit, unless it is done."""
        if (known := self.known(spec, atlas)) is not None:  # another client may have computed it since
            return known
        with marked_as_running(atlas.folder, self.asked(spec)):
            result = self._task_of(spec).run(_network(spec), atlas, progress)
        return replace(result, spec=spec)

    def _task_of(self, spec: NetworkSpec) -> ScoringTask:
        return self._tasks[spec.settings if isinstance(spec, SweepUnit) else 0]


def _network(spec: NetworkSpec) -> NetworkSpec:
    return spec.network if isinstance(spec, SweepUnit) else spec
