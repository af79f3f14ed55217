"""Tasks: the identity of a result is its configuration.

`murine.atlas.store.Atlas.done` looks up whether a task has a result; `murine.atlas.finished_work` does so before a
network is built.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_serializer

from murine.networks.preprocessing import Preprocessing
from murine.scoring.treatments import Standardisation

#: Increased whenever the same configuration would give other kernels, or other scores. Then old results no longer count
#: as done.
CAPTURE_METHOD = 2
SCORE_METHOD = 3


class Identified(BaseModel):
    """A frozen record whose canonical form names a file. Settings that cannot change a result are not part of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def digest(self) -> str:
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]


class CaptureTask(Identified):
    """One network shown one set of stimuli: names a file of kernels."""

    kind: Literal["capture"] = "capture"
    method: int = CAPTURE_METHOD
    network_digest: str
    preprocessing: Preprocessing
    stimuli_digest: str
    layers: str
    normalise: Standardisation = "none"  # whether units are standardised over stimuli

    @model_serializer(mode="wrap")
    def _asked(self, plain: Any) -> dict[str, Any]:
        """Leave out options that were not used, so that kernels from before these options existed keep their names."""
        left_out = () if self.normalise != "none" else ("normalise",)
        return {key: value for key, value in plain(self).items() if key not in left_out}


class CortexSettings(Identified):
    """Settings of a cortex: which neurons are used, and how they are grouped into sites."""

    cortex: str
    by: tuple[str, ...] = ()  # an area is a site, or all neurons where no area is named
    select: tuple[tuple[str, str], ...] = ()
    min_reliability: float | None = None
    dissimilarity: str = "pearson"
    n_splits: int = 100


class ScoreTask(Identified):
    """One network against one cortex by one metric: names a file of rows.

    Left out because they cannot change a result: batch size, device, number of processes, folders.
    """

    kind: Literal["score"] = "score"
    method: int = SCORE_METHOD
    network: str
    weights: str
    capture: CaptureTask
    cortex: CortexSettings
    cortex_digest: str
    groups: str = ""  # digest of the stimuli's groups, within which scores are told; '' without groups
    metric: str
    normalise_neurons: Standardisation = "none"
    n_bootstraps: int
    n_permutations: int
    seed: int
    over: Literal["", "neurons", "animals", "both"] = ""  # what is resampled beside stimuli
    n_subject_draws: int = 0  # of that; 0 without
    layer_choice: Literal["held-out", "naive"] = "held-out"  # other stimuli than those of the score, or the same

    @model_serializer(mode="wrap")
    def _asked(self, plain: Any) -> dict[str, Any]:
        """Leave out options that were not used, so that results from before these options existed keep their names."""
        left_out = set() if self.over else {"over", "n_subject_draws"}
        left_out |= set() if self.layer_choice == "naive" else {"layer_choice"}
        return {key: value for key, value in plain(self).items() if key not in left_out}


#: The same for rows of single units.
UNITS_METHOD = 2


class UnitsTask(Identified):
    """One comparison of the neurons of a cortex with the units of a network: the common fields of its kinds.

    The digest of the cortex covers which neurons were chosen. Grouping and resampling are done later, from the rows.
    """

    table: ClassVar[str]

    method: int = UNITS_METHOD
    network: str
    weights: str
    network_digest: str
    preprocessing: Preprocessing
    stimuli_digest: str
    layers: str
    cortex: str
    cortex_digest: str
    n_shuffles: int
    seed: int


class MatchTask(UnitsTask):
    """The best unit of every neuron in every layer (`murine.units.layer_matching.match_layers`): a file of rows."""

    table: ClassVar[str] = "matches"

    kind: Literal["match"] = "match"
    n_candidates: int = 0


class MapTask(UnitsTask):
    """Maps of neurons against maps of units, of one size (`murine.units.layer_maps.map_layers`): a file of rows."""

    table: ClassVar[str] = "maps"

    kind: Literal["map"] = "map"
    side: int
    unit_maps: str
    normalisation: str
    centred: bool
