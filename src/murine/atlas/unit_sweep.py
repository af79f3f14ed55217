"""Sweeps over single units: many networks against the neurons of one recording; only missing results are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from murine.atlas.identity import CortexSettings, MapTask, MatchTask
from murine.atlas.network_scorer import chosen_data
from murine.atlas.store import Atlas, provenance
from murine.atlas.sweep import NetworkResult, asked_of
from murine.atlas.tables import UNITS_TABLES
from murine.cortex.dataset import Dataset
from murine.cortex.recording import Recording
from murine.cortex.response_maps import SIDE
from murine.errors import MurineError
from murine.networks import zoo
from murine.networks.network import Network
from murine.networks.process_state import preserved_state
from murine.progress import Progress
from murine.units.layer_maps import map_layers
from murine.units.layer_matching import match_layers
from murine.units.neuron_rows import NEURON_COLUMNS, align_stimuli
from murine.units.site_tables import summarise_sites

#: Columns of rows about networks, layers and scores.
_TAKEN = {column for columns in UNITS_TABLES.values() for column in columns} - set(NEURON_COLUMNS)


class NeuronData:
    """The neurons of a recording with the images they saw, loaded once for all networks.

    Parameters
    ----------
    settings
        Which recording, and which of its neurons.
    data, stimuli
        As in `murine.cortex.loading.load_dataset`.
    given
        The data set itself, where it is in memory already.

    Attributes
    ----------
    images, recording
        In the order of their ids, without the blank screen.

    Raises
    ------
    MurineError
        If there are no single neurons, or they cannot be had.
    """

    def __init__(
        self,
        settings: CortexSettings,
        data: Path | None = None,
        stimuli: Path | None = None,
        given: Dataset | None = None,
    ) -> None:
        chosen = chosen_data(settings, data, stimuli, given)
        images, cortex = chosen.stimuli, chosen.responses
        if not isinstance(cortex, Recording):
            raise MurineError(
                f"{cortex.name!r} comes as matrices of whole sites; single neurons were expected. Give a recording: a "
                "name of `murine data list` that has one, as allen-neuropixels, or a .nc file."
            )
        self.settings = settings
        self.images, self.recording = align_stimuli(images, cortex)
        self._identity = {
            "stimuli_digest": self.images.digest,
            "cortex": cortex.name,
            "cortex_digest": self.recording.digest,
        }

    def labels(self, by: Sequence[str], *, animals: bool = False) -> pd.DataFrame:
        """The labels that define sites, '' if a neuron has none: one row per neuron, by ``neuroid_id``.

        Parameters
        ----------
        by
            Coordinates of the recording. The column of ``layer`` is called ``cortical_layer``, that of another whose
            name rows use for something else ``neuron_NAME``.

        animals
            Whether the neurons have to tell their animals, for a bootstrap over these.

        Raises
        ------
        MurineError
            If there is no such coordinate of neurons, or no neuron has all labels.
        """
        if animals and "donor" not in self._labelled():
            raise MurineError(
                f"no neuron of {self.recording.name!r} has a label donor: intervals over animals cannot be had. Take "
                "those over neurons (--over neurons)."
            )
        if not by:
            raise MurineError("nothing was given that makes sites; expected coordinates of neurons, as --by area.")
        columns = {}
        for name in by:
            values = self.recording[name]
            if values.shape != (self.recording.n_neuroids,):
                raise MurineError(f"{name!r} is no coordinate of the neurons of {self.recording.name!r}.")
            column = "cortical_layer" if name == "layer" else f"neuron_{name}" if name in _TAKEN else name
            columns[column] = np.where(pd.isna(values), "", values.astype(str))
        table = pd.DataFrame(columns, index=pd.Index(self.recording["neuroid_id"].astype(str), name="neuroid_id"))
        if not (table != "").all(axis=1).any():
            raise MurineError(
                f"no neuron of {self.recording.name!r} has a label {', '.join(by)}: there are no sites. It has labels "
                f"{', '.join(self._labelled()) or 'of no kind'}."
            )
        return table

    def _labelled(self) -> list[str]:
        known = [key for key in NEURON_COLUMNS.values() if key in self.recording.dataset.coords and key != "neuroid_id"]
        return [key for key in known if (self.recording[key].astype(str) != "").any()]

    def identity(self, network: Network) -> dict[str, Any]:
        """The fields of a task that describe the neurons and a network."""
        return {
            "network": network.name,
            "weights": network.weights,
            "network_digest": network.digest,
            "preprocessing": network.preprocessing,
            **self._identity,
        }

    def provenance(self) -> dict[str, str]:
        """Versions, and how the neurons were chosen."""
        conditions = [f"{key}={value}" for key, value in self.settings.select]
        if self.settings.min_reliability is not None:
            conditions.append(f"reliability>={self.settings.min_reliability:g}")
        return {**provenance(), "neurons": ", ".join(conditions) or "all"}


@dataclass(frozen=True)
class UnitSettings:
    """Settings of the capture and of the chance level.

    Attributes
    ----------
    layers, input_size
        As in `murine.networks.capture.capture` and `zoo.load`.
    n_shuffles, seed
        As in `match_layers`.
    batch_size, device
        How the work is done; they cannot change a result.
    """

    layers: str = "own"
    input_size: int | tuple[int, int] | None = None
    n_shuffles: int = 1
    seed: int = 0
    batch_size: int | None = None
    device: str = "cpu"

    def load(self, spec: zoo.NetworkSpec) -> Network:
        device = zoo.available_device(self.device)
        with preserved_state(str(spec)):
            return zoo.load(spec, input_size=self.input_size, device=device)


@dataclass(frozen=True, eq=False)
class Matching:
    """Matches the neurons with the units of one network after the other (`match_layers`): a runner of a sweep.

    Attributes
    ----------
    n_candidates
        As in `match_layers`.
    """

    neurons: NeuronData
    settings: UnitSettings
    n_candidates: int = 0

    def __post_init__(self) -> None:
        self.neurons.recording.odd_even()  # a recording without halves is refused before any network is loaded

    def asked(self, spec: zoo.NetworkSpec) -> dict[str, str]:
        """As `murine.atlas.sweep.NetworkTask.asked`."""
        return asked_of("match", spec, self.settings.input_size, self.settings.layers, self.neurons.settings)

    def known(self, spec: zoo.NetworkSpec, atlas: Atlas) -> NetworkResult | None:
        """Nothing is known of a network before it is built."""

    def prepare(self) -> None:
        """The neurons are loaded already."""

    def run(self, spec: zoo.NetworkSpec, atlas: Atlas, progress: Progress | None = None) -> NetworkResult:
        """Match the units of a network, unless the result is stored."""
        settings, neurons = self.settings, self.neurons
        network = settings.load(spec)
        task = MatchTask(
            **neurons.identity(network),
            layers=settings.layers,
            n_shuffles=settings.n_shuffles,
            seed=settings.seed,
            n_candidates=self.n_candidates,
        )
        if atlas.is_whole(atlas.units_file(task)):
            return NetworkResult(spec, "done", (task.digest,))
        with preserved_state(network.name):
            rows = match_layers(
                network,
                neurons.images,
                neurons.recording,
                layers=settings.layers,
                batch_size=settings.batch_size,
                n_shuffles=settings.n_shuffles,
                n_candidates=self.n_candidates,
                overlap=True,
                seed=settings.seed,
                progress=progress,
            )
        atlas.write_units(task, rows.assign(role=network.role), neurons.provenance())
        return NetworkResult(spec, "computed", (task.digest,), ran=True)


@dataclass(frozen=True, eq=False)
class MapComparison:
    """Compares the maps of the neurons with those of one network after the other (`map_layers`): a runner of a sweep.

    Attributes
    ----------
    sides, unit_maps, normalisation, centred
        As in `map_layers`. Each size is a task of its own; those that are missing share one forward pass.
    """

    neurons: NeuronData
    settings: UnitSettings
    sides: tuple[int, ...] = (SIDE,)
    unit_maps: str = "activation"
    normalisation: str = "l2"
    centred: bool = True

    def asked(self, spec: zoo.NetworkSpec) -> dict[str, str]:
        """As `murine.atlas.sweep.NetworkTask.asked`."""
        return asked_of("maps", spec, self.settings.input_size, self.settings.layers, self.neurons.settings)

    def known(self, spec: zoo.NetworkSpec, atlas: Atlas) -> NetworkResult | None:
        """Nothing is known of a network before it is built."""

    def prepare(self) -> None:
        """The neurons are loaded already."""

    def run(self, spec: zoo.NetworkSpec, atlas: Atlas, progress: Progress | None = None) -> NetworkResult:
        """Compare the maps of a network, unless the result is stored."""
        settings, neurons = self.settings, self.neurons
        network = settings.load(spec)
        tasks = {
            side: MapTask(
                **neurons.identity(network),
                layers=settings.layers,
                n_shuffles=settings.n_shuffles,
                seed=settings.seed,
                side=side,
                unit_maps=self.unit_maps,
                normalisation=self.normalisation,
                centred=self.centred,
            )
            for side in self.sides
        }
        digests = tuple(task.digest for task in tasks.values())
        missing = {side: task for side, task in tasks.items() if not atlas.is_whole(atlas.units_file(task))}
        if not missing:
            return NetworkResult(spec, "done", digests)
        with preserved_state(network.name):
            rows = map_layers(
                network,
                neurons.images,
                neurons.recording,
                sides=list(missing),
                unit_maps=self.unit_maps,
                normalisation=self.normalisation,
                centred=self.centred,
                layers=settings.layers,
                batch_size=settings.batch_size,
                n_shuffles=settings.n_shuffles,
                seed=settings.seed,
                progress=progress,
            ).assign(role=network.role)
        for side, task in missing.items():
            atlas.write_units(task, rows[rows.side == side], neurons.provenance())
        return NetworkResult(spec, "computed", digests, ran=True)


def site_table(
    rows: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    over: str = "neurons",
    n_bootstraps: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """`by_site` of rows, by labels of their neurons as `NeuronData.labels` gives them."""
    return summarise_sites(with_labels(rows, labels), list(labels), over=over, n_bootstraps=n_bootstraps, seed=seed)


def unscored(rows: pd.DataFrame) -> dict[str, str]:
    """Return the neurons without a score in any layer, with the reason."""
    has_score = rows["r_test" if "r_test" in rows else "rmse_best"].notna()
    never = rows[~has_score.groupby(rows.neuroid_id).transform("any")].drop_duplicates("neuroid_id")
    return dict(zip(never.neuroid_id, never.flag, strict=True))


def with_labels(rows: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Rows with labels of their neurons, as `NeuronData.labels` gives them."""
    return rows.assign(**{name: rows.neuroid_id.map(labels[name]) for name in labels})
