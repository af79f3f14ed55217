"""Reduction of an experiment's file (a gigabyte) to a Recording of its responses to natural scenes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from murine.cortex.allen import transgenic
from murine.cortex.allen.catalogue import DEFAULT_SCHEME
from murine.cortex.allen.ophys import SIGNALS, Experiment
from murine.cortex.allen.responses import WINDOWS, Window, by_condition, window_of
from murine.cortex.allen.scene_metrics import METRICS, NaturalScenes
from murine.cortex.allen.templates import Templates
from murine.cortex.natural_scenes import BLANK, N_SCENES, SCENE_IDS
from murine.cortex.recording import Recording
from murine.download import untouched
from murine.errors import MurineError, nearest
from murine.io.isolation import read_apart

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measure:
    """The measure of a response: a signal, averaged over a window.

    ``corrected`` fluorescence is given in percent of a local baseline; ``dff`` and ``events`` are given as stored.
    """

    signal: str = "corrected"
    window: Window = WINDOWS["allensdk"]

    @property
    def name(self) -> str:
        """The measure as the name of a folder."""
        return f"{self.signal}-{self.window.name.replace(':', 'to')}"


def measures_of(signals: Sequence[str], windows: Sequence[str] = ()) -> list[Measure]:
    """Return the measures of every signal in every window, each once; without a window, AllenSDK's.

    Raises
    ------
    MurineError
        If there is no signal or window of a name.
    """
    for signal in signals:
        if signal not in SIGNALS:
            raise MurineError(
                f"there is no signal {signal!r}{nearest(signal, SIGNALS) or '.'} Known: {', '.join(SIGNALS)}."
            )
    chosen = [window_of(text) for text in dict.fromkeys(windows or ["allensdk"])]
    return [Measure(signal, window) for signal in dict.fromkeys(signals) for window in chosen]


def read_recording(
    file: str | Path,
    *,
    events: str | Path | None = None,
    signal: str = "corrected",
    window: Window = WINDOWS["allensdk"],
    layer_scheme: str = DEFAULT_SCHEME,
    isolated: bool | None = None,
) -> Recording:
    """Read the responses of one two-photon experiment to the natural scenes.

    Parameters
    ----------
    file
        ``<experiment id>.nwb`` of a session B.
    events
        ``<experiment id>_events.npz``, for ``signal="events"``.
    signal
        ``corrected`` fluorescence, ``dff`` or ``events``.
    window
        Frames that are averaged (`responses.window_of` finds one by name): AllenSDK's by default.
    layer_scheme
        Rule that derives layers from depth and Cre line (`transgenic.layer_schemes`).
    isolated
        Whether to read in a separate process with limits of time and memory, because a damaged file can make the HDF5
        library crash or hang. This takes half a second. None: yes, unless `murine.download` fetched and verified the
        file.

    Returns
    -------
    recording
        (n_cells, 118 scenes and ``blank``, repetitions in time order), float32. Missing presentations and responses
        whose window touches a NaN are NaN. Coordinates of the cells: neuroid_id (the cell specimen id; where a cell has
        none, ``<experiment>-roi<roi>``), roi_id, experiment_id, container_id, area, layer, layer_scheme, depth_um,
        cre_line, cell_class, indicator, donor, sex, signal, window, and the metrics of `NaturalScenes.metrics` (NaN
        where corrected fluorescence cannot be had). Line and class come from the file; the catalogue's are more uniform
        (`Archive.recording` puts those in).

    Raises
    ------
    MurineError
        If the file is damaged, has no natural scenes, or lacks the arrays that the signal is computed from.
    """
    measure, path = Measure(signal, window), Path(file)
    if isolated or (isolated is None and not untouched(path)):
        return read_apart(path, _read, path, events, measure, layer_scheme)
    return _read(path, events, measure, layer_scheme)


def _read(file: str | Path, events: str | Path | None, measure: Measure, layer_scheme: str) -> Recording:
    with Experiment(file, events) as experiment:
        return _recording(experiment, measure, layer_scheme)


@np.errstate(all="ignore")  # absurd values of a damaged file become NaN or infinite, not noise on the terminal
def _recording(experiment: Experiment, measure: Measure, layer_scheme: str) -> Recording:
    scenes = NaturalScenes(experiment, N_SCENES)
    means = None if measure == Measure() else scenes.sweep_means(measure.signal, measure.window)
    metrics: Mapping[str, np.ndarray] = {name: np.full(experiment.n_cells, np.nan) for name in METRICS}
    try:
        means = scenes.mean_sweep_response if means is None else means
        metrics = {name: scenes.metrics[name].to_numpy() for name in METRICS}
    except MurineError as error:
        if means is None or measure.signal == "corrected":
            raise
        log.warning("no metrics from corrected fluorescence: %s", error)
    responses = by_condition(means, scenes.table["frame"].to_numpy(), N_SCENES)
    ids = _neuroid_ids(experiment)
    neuroid: dict[str, ArrayLike] = {
        "neuroid_id": ids,
        "roi_id": experiment.roi_ids,
        **_labels(experiment, measure, layer_scheme),
        **metrics,
    }
    stimulus = {"stimulus_id": [*SCENE_IDS, BLANK]}
    return Recording.from_arrays(responses, neuroid, stimulus, name=str(experiment.experiment_id))


def _neuroid_ids(experiment: Experiment) -> list[str]:
    """Return cell specimen ids.

    A cell without an id, or with the id of another cell, gets its position in this experiment as id.
    """
    ids = experiment.cell_specimen_ids
    values, counts = np.unique(ids, return_counts=True)
    own = set(values[(counts == 1) & (values > 0)].tolist())
    names = [
        str(cell) if int(cell) in own else f"{experiment.experiment_id}-roi{roi}"
        for cell, roi in zip(ids, experiment.roi_ids, strict=True)
    ]
    if len(set(names)) < len(names):  # damaged roi ids
        experiment.tree.refuse("ImageSegmentation/roi_ids", "ids that repeat", "ids that differ")
    return names


def _labels(experiment: Experiment, measure: Measure, layer_scheme: str) -> dict[str, np.ndarray]:
    about = experiment.metadata
    line = str(about.get("cre_line", ""))
    depth = float(about.get("imaging_depth_um", np.nan))
    reporter = str(about.get("genotype", "")).split(";")[-1]
    labels: dict[str, str | float] = {
        "experiment_id": str(experiment.experiment_id),
        "container_id": str(about.get("experiment_container_id", "")),
        "area": str(about.get("targeted_structure", "")),
        "layer": transgenic.layer_schemes[layer_scheme](depth, line),
        "layer_scheme": layer_scheme,
        "depth_um": depth,
        "cre_line": line,
        "cell_class": transgenic.cell_class(line),
        "indicator": str(about.get("indicator", "")) or transgenic.indicator(reporter),
        "donor": str(about.get("specimen_name", "")).rpartition("-")[2],
        "sex": str(about.get("sex", "")),
        "signal": measure.signal,
        "window": measure.window.name,
    }
    return {key: np.full(experiment.n_cells, value) for key, value in labels.items()}


def reduce_file(file: Path, events: Path | None, measures: Mapping[Path, Measure], templates: Path) -> dict[Path, str]:
    """Write the Recordings of one experiment, one for each measure; made to be run in a process of its own.

    Parameters
    ----------
    file, events
        As for `read_recording`.
    measures
        Files to write, each with the definition of its responses.
    templates
        Folder of the images that all experiments showed. The first experiment stores them there; later ones are
        compared with them.

    Returns
    -------
    impossible
        Files that cannot be made of this experiment, with the reason.

    Raises
    ------
    MurineError
        If the experiment cannot be read at all or showed other images, or a file cannot be written.
    """
    impossible = {}
    with Experiment(file, events) as experiment:
        Templates(templates).keep(experiment.scene_template())
        for target, measure in measures.items():
            try:
                recording = _recording(experiment, measure, DEFAULT_SCHEME)
            except MurineError as error:
                impossible[target] = f"{measure.name}: {error}"
            else:
                recording.write(target)
    return impossible


def write_recordings(
    files: Sequence[Path],
    folder: Path,
    measure: Measure,
    *,
    events: Path | None = None,
    done: Callable[[Path], None] = lambda file: None,
) -> list[str]:
    """Write a recording of each of some experiments into a folder, each read in a process of its own.

    Parameters
    ----------
    files
        ``<experiment id>.nwb``, which become ``<experiment id>.nc``.
    events
        Folder of ``<experiment id>_events.npz``; a measure of events needs it.
    done
        Called with each file after it, whether it became a recording or not.

    Returns
    -------
    failures
        Reasons why files could not be written; a damaged file does not stop the others.

    Raises
    ------
    MurineError
        If the measure needs events, and their folder is not given.
    """
    if measure.signal == "events" and events is None:
        raise MurineError("--signal events needs --events FOLDER, where <experiment id>_events.npz are.")
    failures = []
    for file in files:
        beside = None if events is None else events / f"{file.stem}_events.npz"
        try:
            recording = read_recording(file, events=beside, signal=measure.signal, window=measure.window, isolated=True)
            recording.write(folder / f"{file.stem}.nc")
        except MurineError as error:
            failures.append(str(error))
        done(file)
    return failures
