"""Sweeps: many networks against one cortex, of which only what is missing is computed."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from murine.atlas.store import Atlas, provenance
from murine.atlas.task import CaptureTask, CortexSettings, ScoreTask
from murine.comparison.metrics import metrics
from murine.comparison.scoring import Settings, Yardstick, matched, score_layers
from murine.comparison.subjects import draw_subjects
from murine.comparison.targets import Targets, targets_of
from murine.cortex.datasets import Cortex, load_cortex
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.networks import zoo
from murine.networks.capture import CapturedLayer, capture
from murine.networks.memory import freed_memory_kept, release_freed_memory
from murine.networks.network import Network
from murine.progress import Progress, Silent
from murine.stimuli import StimulusSet

log = logging.getLogger(__name__)


#: Every metric.
ALL = "all"


@dataclass(frozen=True)
class Plan:
    """Everything a sweep needs to know besides the networks.

    Attributes
    ----------
    cortex
        Which neurons, grouped how; ``cortex.cortex`` is what `load_cortex` takes.
    metrics
        Names in `murine.comparison.metrics.metrics`; ``all`` for all that can be had of the cortex.
    layers, input_size
        As in `capture` and `zoo.load`.
    settings
        Bootstrap samples, permutations, seed; whether neurons or animals are resampled, too.
    data, stimuli
        Folders, as in `load_cortex`.
    batch_size, device
        How the work is done; they cannot change a result.
    """

    cortex: CortexSettings
    metrics: tuple[str, ...] = ("rsa-pearson",)
    layers: str = "all"
    input_size: int | tuple[int, int] | None = None
    settings: Settings = field(default_factory=Settings)
    data: Path | None = None
    stimuli: Path | None = None
    batch_size: int | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Outcome:
    """What became of one network: ``computed``, ``done`` already, or ``failed`` for a reason."""

    choice: zoo.Choice
    state: Literal["computed", "done", "failed"]
    tasks: tuple[str, ...] = ()
    reason: str = ""


@runtime_checkable
class Runner(Protocol):
    """What a sweep does with each network; what all networks share is ready before the first."""

    def run(self, choice: zoo.Choice, atlas: Atlas, progress: Progress | None = None) -> Outcome:
        """Do it, unless it is done."""


class _UnusableCortexError(MurineError):
    """Concerns every network of a sweep."""


def chosen_cortex(settings: CortexSettings, data: Path | None = None, stimuli: Path | None = None) -> Cortex:
    """Load a cortex; of a recording, the neurons that the settings choose.

    Parameters
    ----------
    data, stimuli
        As in `load_cortex`.
    """
    images, cortex = load_cortex(settings.cortex, root=data, stimuli=stimuli)
    labels: dict[str, list[str]] = {}
    for key, value in settings.select:
        labels.setdefault(key, []).append(value)
    if not isinstance(cortex, Recording):
        if labels or settings.min_reliability is not None:
            raise MurineError(
                f"{cortex.name!r} comes as matrices of whole sites: neurons cannot be selected. Filter the results "
                "instead."
            )
        return images, cortex
    return images, cortex.select(min_reliability=settings.min_reliability, **labels)


class Bench:
    """A cortex with its yardsticks, made when first needed and used for every network."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._yardsticks: dict[str, Yardstick] = {}

    @cached_property
    def _cortex(self) -> Cortex:
        return chosen_cortex(self.plan.cortex, self.plan.data, self.plan.stimuli)

    @property
    def name(self) -> str:
        return self._cortex[1].name

    @cached_property
    def digest(self) -> str:
        return self._cortex[1].digest

    @cached_property
    def targets(self) -> Targets:
        settings, over = self.plan.cortex, self.plan.settings.over
        try:
            targets = targets_of(
                self._cortex[1],
                settings.by,
                normalise=settings.normalise,
                dissimilarity=settings.dissimilarity,
                n_splits=settings.n_splits,
                seed=self.plan.settings.seed,
            )
            if over:
                draw_subjects(targets, over, 1, self.plan.settings.seed)  # refuses what cannot be resampled
        except MurineError as error:
            raise _UnusableCortexError(str(error)) from error
        return targets

    @cached_property
    def stimuli(self) -> StimulusSet:
        """The images in the order of the targets."""
        stimuli, data = self._cortex
        return matched(stimuli, data.stimulus_ids)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Their names; of ``all``, those that need single neurons only where there are some."""
        if ALL not in self.plan.metrics:
            return self.plan.metrics
        matrices = not isinstance(self._cortex[1], Recording)
        return tuple(name for name in metrics if not (matrices and metrics[name].of_neurons))

    def yardstick(self, metric: str) -> Yardstick:
        if metric not in self._yardsticks:
            self._yardsticks[metric] = Yardstick(
                self.targets, metric, groups=self.stimuli.groups, settings=self.plan.settings
            )
        return self._yardsticks[metric]

    def run(self, choice: zoo.Choice, atlas: Atlas, progress: Progress | None = None) -> Outcome:
        """Score one network by every metric, unless that is done."""
        plan = self.plan
        network = zoo.load(choice, input_size=plan.input_size, device=plan.device)
        capturing = CaptureTask(
            network_digest=network.digest,
            preprocessing=network.preprocessing,
            stimuli_digest=self.stimuli.digest,
            layers=plan.layers,
        )
        tasks = [
            ScoreTask(
                network=network.name,
                weights=network.weights,
                capture=capturing,
                cortex=plan.cortex.model_copy(update={"cortex": self.name}),
                cortex_digest=self.digest,
                groups=self.stimuli.groups_digest,
                metric=metric,
                n_bootstraps=plan.settings.n_bootstraps,
                n_permutations=plan.settings.n_permutations,
                seed=plan.settings.seed,
                over=plan.settings.over,
                n_subject_draws=plan.settings.subject_draws,
            )
            for metric in self.metrics
        ]
        missing = [task for task in tasks if not atlas.done(task)]
        if missing:
            _ = self.targets  # before the network is shown anything: they may not exist
        layers = self._layers(network, capturing, atlas, progress) if missing else []
        with (progress or Silent()).task(f"scores of {network.name}", len(missing)) as bar:
            for task in missing:
                rows = score_layers(layers, self.yardstick(task.metric))
                atlas.write_scores(task, rows.assign(role=network.role), provenance())
                bar.advance()
        return Outcome(choice, "computed" if missing else "done", tuple(task.digest for task in tasks))

    def _layers(
        self, network: Network, task: CaptureTask, atlas: Atlas, progress: Progress | None
    ) -> list[CapturedLayer]:
        """Kernels from the atlas, or from the network."""
        try:
            layers = atlas.read_kernels(task)
        except MurineError as error:
            log.warning("%s They are captured again.", error)
            layers = None
        if layers is None:
            images = network.preprocessing.apply(self.stimuli).to(self.plan.device)
            layers = capture(
                network.module,
                images,
                layers=self.plan.layers,
                batch_size=self.plan.batch_size,
                progress=progress,
            )
            atlas.write_kernels(task, layers)
        return layers


def sweep(
    choices: Sequence[zoo.Choice],
    plan: Plan,
    atlas: Atlas,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
    announce: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Score networks, one after the other or in ``jobs`` processes.

    A network that cannot be scored is reported in its outcome; the others go on. What is finished is on disk at once,
    so a sweep may be stopped at any time and started again.

    Raises
    ------
    MurineError
        If the cortex itself cannot be used, or a metric is unknown.
    """
    outcomes = []
    running = each(ready(plan), choices, atlas, progress) if jobs == 1 else _parallel(choices, plan, atlas, jobs)
    for outcome in running:
        outcomes.append(outcome)
        announce(outcome)
    return outcomes


def ready(plan: Plan) -> Bench:
    """A bench that can be used: for `each`, where what cannot work has to be told before there are networks.

    Raises
    ------
    MurineError
        If the cortex itself cannot be used, or a metric or the device is unknown.
    """
    bench = Bench(_checked(plan))
    _ = bench.digest, bench.stimuli  # a cortex that cannot be used fails the sweep, not each network
    return bench


def _checked(plan: Plan) -> Plan:
    for metric in plan.metrics:
        if metric != ALL:
            metrics[metric]  # an unknown one raises before any work
    return replace(plan, device=zoo.available_device(plan.device))


def each(
    runner: Runner, choices: Sequence[zoo.Choice], atlas: Atlas, progress: Progress | None = None
) -> Iterator[Outcome]:
    """Do the same with one network after the other; one that fails does not stop the others."""
    with (progress or Silent()).task("networks", len(choices)) as bar, freed_memory_kept():
        for choice in choices:
            outcome = _attempt(runner, choice, atlas, progress)
            bar.advance(done=f"{choice}: {outcome.state}")
            yield outcome
            release_freed_memory()


def _attempt(runner: Runner, choice: zoo.Choice, atlas: Atlas, progress: Progress | None) -> Outcome:
    try:
        return runner.run(choice, atlas, progress)
    except _UnusableCortexError:
        raise
    except MurineError as error:
        return Outcome(choice, "failed", reason=str(error))


def _parallel(choices: Sequence[zoo.Choice], plan: Plan, atlas: Atlas, jobs: int) -> Iterator[Outcome]:
    plan, jobs = _checked(plan), max(1, min(jobs, len(choices)))
    # Ctrl-C reaches every process of a terminal: the workers end without a word, and this one tells.
    quiet_end = (signal.SIGINT, signal.SIG_DFL)
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=signal.signal, initargs=quiet_end
    ) as pool:
        threads = max(1, (os.cpu_count() or 1) // jobs)
        shares = [pool.submit(_share, choices[i::jobs], plan, atlas.folder, threads) for i in range(jobs)]
        try:
            for share in as_completed(shares):
                yield from share.result()
        except BrokenProcessPool as error:
            raise MurineError(
                "a process of the sweep was ended from outside, perhaps for lack of memory. What was finished is kept; "
                "go on with fewer --jobs or a smaller --batch-size."
            ) from error


def _share(choices: Sequence[zoo.Choice], plan: Plan, folder: Path, threads: int) -> list[Outcome]:
    """One process's part of a sweep."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        return list(each(ready(plan), choices, Atlas(folder)))
