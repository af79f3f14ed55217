"""Ask whether a network is a mouse: load the animals, show the images, place network and controls, and judge."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from murine.cortex.dataset import Dataset
from murine.cortex.recording import Recording
from murine.errors import MurineError, nearest
from murine.io.array_cache import ArrayCache
from murine.io.files import cache_folder
from murine.limits import SEED, Limits
from murine.masquerade.animals import PARTS, AnimalArrays, load_animals
from murine.masquerade.areas import animal_table, area_table, pool_table
from murine.masquerade.candidates import Candidates, Windows, candidates_of, pixel_candidates
from murine.masquerade.placing import Yardsticks
from murine.masquerade.result import MasqueradeResult
from murine.masquerade.verdict_table import NETWORK, Entrant, verdict_table
from murine.networks import zoo
from murine.networks.network import Network
from murine.networks.random_twin import random_twin
from murine.networks.spec import NetworkSpec, twin
from murine.progress import Progress
from murine.statistics.animal_verdicts import PIXELS, TWIN
from murine.stimuli import StimulusSet, matched

log = logging.getLogger(__name__)

#: Random twins of each network.
N_TWINS = 3

#: Levels that make sense.
LEVELS = Limits(0.0001, 0.5)


def animal_cache() -> ArrayCache:
    """Return the cache of what depends on the animals alone."""
    return ArrayCache(cache_folder() / "animals")


@dataclass(frozen=True, eq=False)
class AnimalData:
    """The animals of a data set and the images they saw, prepared once for many networks.

    Attributes
    ----------
    images
        In the order of their ids.
    animals, yardsticks
        The arrays of animals, and their similarities with each other.
    cortex, cortex_digest, recording
        Name and digest of the recording, and itself.

    Examples
    --------
    >>> import murine
    >>> from murine.cortex.simulated import simulate
    >>> cortex = simulate(n_neuroids=240)
    >>> mice = [f"mouse {i % 6}" for i in range(cortex.recording.n_neuroids)]
    >>> data = murine.load_data(cortex.recording.labelled({"donor": mice}), stimuli=cortex.stimuli)
    >>> AnimalData.of(data).animals
    <AnimalArrays: 18 arrays of 6 animals in 3 areas>
    """

    images: StimulusSet
    animals: AnimalArrays
    yardsticks: Yardsticks
    cortex: str
    cortex_digest: str
    recording: Recording

    @classmethod
    def of(cls, data: Dataset, *, seed: int = 0) -> AnimalData:
        """Prepare a data set.

        Raises
        ------
        MurineError
            If it has no single trials or no animals, or cannot be used (`load_animals`, `Yardsticks`).
        """
        if not isinstance(data.responses, Recording):
            raise MurineError(
                f"{data.name!r} comes as matrices of whole sites; single trials of the neurons of several animals are "
                "needed, as those of allen-neuropixels."
            )
        kept = animal_cache()
        animals = load_animals(data.responses, seed=seed, kept=kept)
        images = matched(data.stimuli, animals.stimulus_ids)
        recording = data.responses
        return cls(images, animals, Yardsticks.of(animals), data.name, recording.digest, recording)


def masquerade(
    network: Network,
    data: AnimalData,
    *,
    spec: NetworkSpec | None = None,
    areas: Sequence[str] = (),
    windows: Windows = "thirds",
    alpha: float = 0.05,
    n_twins: int = N_TWINS,
    layers: str = "own",
    seed: int = 0,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> MasqueradeResult:
    """Place a network and its controls among the animals of each area, and judge.

    Parameters
    ----------
    network
        The network, on its device.
    data
        The animals.
    spec
        The name that the network was loaded by, whose twins are loaded by name; None for one in memory.
    areas
        Areas to show; all by default. Tests use the animals of all areas in any case.
    windows
        ``thirds``: windows of maps are candidates, too; ``none``.
    alpha
        Level of the tests.
    n_twins
        Random twins; with fewer than three, no network can pass.
    layers, batch_size, progress
        As in `murine.networks.capture.capture`.
    seed
        Draws trial halves, units, the order of shuffled stimuli, and pools of animals.

    Raises
    ------
    MurineError
        If an area or option does not exist, or the network cannot be used.
    """
    LEVELS.check("alpha", alpha)
    SEED.check("seed", seed)
    known = list(data.yardsticks.whole.areas)
    for area in areas:
        if area not in known:
            raise MurineError(
                f"no area {area!r} with five animals{nearest(area, known) or '.'} There are {', '.join(known)}."
            )
    if windows not in ("none", "thirds"):
        raise MurineError(f"windows is {windows!r}; expected 'none' or 'thirds'.")
    n_null = len(data.yardsticks.whole.null())
    if alpha * (1 + n_null) < 1:
        log.warning(
            "%s has %d animals in its areas; at level %g at least %d are needed for anything to be rejected.",
            data.cortex,
            n_null,
            alpha,
            math.ceil(1 / alpha) - 1,
        )
    options: Any = {"windows": windows, "layers": layers, "seed": seed, "batch_size": batch_size, "progress": progress}

    def shown(of: Network, n_parts: int) -> Candidates:
        return candidates_of(of, data.images, data.animals, n_parts=n_parts, **options)

    entrants = [Entrant(NETWORK, network.name, network.weights, shown(network, len(PARTS)))]
    for i in range(n_twins):
        other = _twin(network, spec, i)
        if other is None:
            break
        entrants.append(Entrant(TWIN, other.name, other.weights, shown(other, 1)))
    pixels = pixel_candidates(data.images, data.animals, network.preprocessing.input_size, windows, seed)
    entrants.append(Entrant(PIXELS, "pixels", "none", pixels))
    table = verdict_table(data.yardsticks, _controls(entrants), windows=windows, areas=areas, alpha=alpha, seed=seed)
    whole = data.yardsticks.whole
    return MasqueradeResult(
        table,
        _shown(area_table(whole, alpha, seed), areas),
        _shown(animal_table(whole), areas),
        _shown(pool_table(whole), areas),
        data.cortex,
        alpha,
    )


def _controls(entrants: list[Entrant]) -> list[Entrant]:
    """Leave out twins if there are fewer than three: a pass would rest on too few of them."""
    n_twins = sum(entrant.role == TWIN for entrant in entrants)
    return [entrant for entrant in entrants if entrant.role != TWIN or n_twins >= N_TWINS]


def _twin(network: Network, spec: NetworkSpec | None, seed: int) -> Network | None:
    """Return a network with random weights of the same architecture; None for one that has none."""
    if network.role in ("control", "random"):
        return None  # its twins would be networks of its own kind
    if spec is None:
        return random_twin(network, seed)
    other = twin(spec, seed)
    if other is None:
        return None
    device = next((parameter.device.type for parameter in network.module.parameters()), "cpu")
    return zoo.load(other, input_size=network.preprocessing.input_size, device=device)


def _shown(rows: pd.DataFrame, areas: Sequence[str]) -> pd.DataFrame:
    return rows[rows.area.isin(areas)].reset_index(drop=True) if areas else rows
