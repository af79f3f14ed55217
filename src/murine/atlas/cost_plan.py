"""Memory and time of scoring networks, predicted from shapes before any of them is built."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from murine.atlas.identity import CortexSettings
from murine.atlas.network_scorer import NetworkScorer
from murine.atlas.sweep import SweepSettings
from murine.errors import MurineError
from murine.networks import costs, zoo
from murine.networks.capture import CapturedLayer
from murine.networks.costs import Cost, Work
from murine.networks.layer_kernel import LayerKernel
from murine.networks.memory import freed_memory_kept
from murine.networks.spec import NetworkSpec
from murine.progress import Progress
from murine.scoring.layer_scores import score_layers


@dataclass(frozen=True)
class NetworkCost:
    """The predicted time and memory of one network.

    Attributes
    ----------
    network
        Its name with its weights.
    input_size
        Height and width of the images, in pixels.
    work
        Operations and tensors, counted.
    cost
        Memory and seconds of the captures.
    scoring_seconds
        Seconds of the scores of its layers.
    """

    network: str
    input_size: tuple[int, int]
    work: Work
    cost: Cost
    scoring_seconds: float

    @property
    def seconds(self) -> float:
        """The sum of all seconds."""
        return self.cost.seconds + self.scoring_seconds


@dataclass
class CostPlan:
    """The predicted time and memory of networks, for one data set.

    Attributes
    ----------
    data
        The name of the data set.
    n_stimuli
        How many images pass through each network.
    networks
        Each network at each size.
    failures
        Networks whose shapes cannot be had, with reasons.
    """

    data: str
    n_stimuli: int
    networks: list[NetworkCost] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def plan_costs(
    networks: Sequence[NetworkSpec],
    sizes: Sequence[int | tuple[int, int] | None],
    progress: Progress,
    *,
    against: str = "simulated",
    metrics: Sequence[str] = (),
    layers: str = "own",
    data: Path | None = None,
    stimuli: Path | None = None,
    memory: int | None = None,
    batch_size: int | None = None,
) -> CostPlan:
    """Predict memory and time of scoring networks. A measurement of a few seconds on this machine gives the time.

    Parameters
    ----------
    networks, sizes
        Every network is planned at every size; None is its own.
    against, data, stimuli
        As in `murine.cortex.loading.load_dataset`.
    metrics
        Metrics whose computation is timed; ``none`` for no metric; by default ``rsa-pearson``.
    layers
        As in `murine.networks.capture`.
    memory
        Memory to plan for, in bytes; None for the memory that is available now.
    batch_size
        Images that pass together; None for all that fit.

    Raises
    ------
    MurineError
        If the data set or a metric cannot be had.
    """
    works: list[tuple[str, tuple[int, int], Work]] = []
    wanted = [(network, size) for network in networks for size in sizes]
    with progress.task("reading images and responses", None):
        settings = CortexSettings(cortex=against)
        scorer = NetworkScorer(SweepSettings(settings, tuple(metrics or ["rsa-pearson"]), data=data, stimuli=stimuli))
        plan = CostPlan(scorer.data.name, scorer.stimuli.n_stimuli)
    with progress.task("reading shapes", len(wanted)) as bar:
        for network, size in wanted:
            try:
                module, preprocessing = zoo.skeleton(network, input_size=size)
                work = costs.work_of(module, preprocessing.input_size, layers, preprocessing.n_channels)
                works.append((network.full_name, preprocessing.input_size, work))
            except MurineError as error:
                plan.failures.append(f"{network.full_name}: {error}")
            bar.advance(done=network.full_name)
    if not works:
        return plan
    with progress.task("measuring this machine", None), freed_memory_kept():
        machine = costs.calibrate(plan.n_stimuli)
    with progress.task("measuring the metrics", None):
        once, per_layer = _scoring_seconds(scorer, plan.n_stimuli)
    for name, shape, work in works:
        cost = costs.predict(work, machine, memory=memory, batch_size=batch_size)
        plan.networks.append(NetworkCost(name, shape, work, cost, once + per_layer * work.n_outputs))
    return plan


def _scoring_seconds(scorer: NetworkScorer, n_stimuli: int) -> tuple[float, float]:
    """Seconds of scoring a network: once, and for each layer; measured with layers of random numbers."""
    metrics = [metric for metric in scorer.settings.metrics if metric != "none"]
    if not metrics:
        return 0.0, 0.0
    random = np.random.default_rng(0)
    kernels = [LayerKernel.of(random.standard_normal((n_stimuli, 512), np.float32)) for _ in range(16)]
    made_up = [CapturedLayer(f"layer{i}", i / 15, (512,), kernel) for i, kernel in enumerate(kernels)]
    taken = []
    for metric in metrics:
        benchmark = scorer.benchmark(metric, "none")
        score_layers(made_up[:2], benchmark)  # what is made once for all networks
        for count in (2, len(made_up)):
            start = time.perf_counter()
            score_layers(made_up[:count], benchmark)
            taken.append(time.perf_counter() - start)
    few, many = sum(taken[::2]), sum(taken[1::2])
    per_layer = max(many - few, 0.0) / (len(made_up) - 2)
    return max(few - 2 * per_layer, 0.0), per_layer
