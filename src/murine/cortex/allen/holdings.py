"""The two public data sets of mouse visual cortex, as far as they have been fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from murine.cortex.allen.archive import Archive
from murine.cortex.allen.catalogue import (
    CELLS_FILE,
    CONTAINERS_FILE,
    DEFAULT_SCHEME,
    EXPERIMENTS_FILE,
    Catalogue,
)
from murine.cortex.allen.fetch_plan import FetchPlan, FetchReport, Session
from murine.cortex.allen.neuropixels import read_session
from murine.cortex.allen.neuropixels_tables import VISUAL_AREAS, Tables, read_tables
from murine.cortex.allen.reduction import Measure, reduce_file
from murine.cortex.allen.templates import tiff_images
from murine.cortex.joining import join
from murine.cortex.natural_scenes import N_SCENES
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.progress import AnyProgress

#: Fields of the catalogue about a cell's experiment; a recording has coordinates of the same names.
_LABELS = ("area", "layer", "depth_um", "cre_line", "cell_class", "indicator", "donor", "sex", "tags")


class TwoPhoton(Archive):
    """Visual Coding, two-photon: calcium responses of single cells.

    The parameters are those of `Archive`.
    """

    prefix = "visual-coding-2p"

    def catalogue(
        self,
        *,
        layer_scheme: str = DEFAULT_SCHEME,
        cells: bool = False,
        refresh: bool = False,
        progress: AnyProgress | None = None,
    ) -> Catalogue:
        """Read the catalogue; fetch its files first if they are missing."""
        files = [CONTAINERS_FILE, EXPERIMENTS_FILE, *([CELLS_FILE] if cells else [])]
        self.ensure(files, refresh=refresh, progress=progress)
        return Catalogue.read(self.place, layer_scheme=layer_scheme, cells=cells)

    def sessions(self, experiments: Sequence[int], measures: Sequence[Measure]) -> list[Session]:
        """Return the files to fetch for experiments, and the recordings to make from them."""
        with_events = any(measure.signal == "events" for measure in measures)
        return [
            Session(
                number,
                (
                    f"ophys_experiment_data/{number}.nwb",
                    *([f"ophys_experiment_events/{number}_events.npz"] if with_events else []),
                ),
                tuple(self.recordings(measure.name) / f"{number}.nc" for measure in measures),
                optional=(f"ophys_experiment_events/{number}_events.npz",),
            )
            for number in experiments
        ]

    def fetch_sessions(
        self,
        plan: FetchPlan,
        measures: Sequence[Measure],
        *,
        keep_raw: bool | None = None,
        workers: int = 4,
        progress: AnyProgress | None = None,
    ) -> FetchReport:
        """Carry out a plan for these measures (`Archive.fetch`)."""
        by_folder = {self.recordings(measure.name): measure for measure in measures}
        reduction = partial(_reduce_two_photon, by_folder, self.place)
        return self.fetch(plan, reduction, keep_raw=keep_raw, workers=workers, progress=progress)

    def recording(
        self, catalogue: Catalogue, measure: Measure | None = None, *, progress: AnyProgress | None = None
    ) -> Recording:
        """Join the recordings of a catalogue's experiments that are here, labelled as the catalogue says.

        Returns
        -------
        recording
            As of `murine.cortex.allen.reduction.read_recording`; a cell that was seen in several sessions has the
            repetitions of all.

        Raises
        ------
        MurineError
            If none is here.
        """
        measure = measure or Measure()
        table = catalogue.experiments.set_index("experiment_id")
        files = [self.recordings(measure.name) / f"{number}.nc" for number in table.index]
        labelled = []
        for recording in self.read(files, progress):
            row = table.loc[int(recording.name)]
            labels: dict[str, object] = {label: row[label] for label in _LABELS}
            labels |= {"container_id": str(row["container_id"]), "layer_scheme": catalogue.layer_scheme}
            labelled.append(
                recording.labelled({key: np.full(recording.n_neuroids, value) for key, value in labels.items()})
            )
        return join(labelled, f"allen-2p-{measure.name}")


@dataclass(frozen=True)
class SpikeCounts:
    """Spikes in a window of seconds after the onset of an image, up to and not including its end."""

    start: float = 0.0
    stop: float = 0.25

    def __post_init__(self) -> None:
        if not (np.isfinite([self.start, self.stop]).all() and self.start < self.stop):
            raise MurineError(f"a window from {self.start} s to {self.stop} s holds nothing; expected start < stop.")

    @property
    def name(self) -> str:
        """The window as the name of a folder."""
        return f"counts-{1000 * self.start:g}to{1000 * self.stop:g}ms"


class Neuropixels(Archive):
    """Visual Coding, Neuropixels: spikes of single units.

    The parameters are those of `Archive`.
    """

    prefix = "visual-coding-neuropixels/ecephys-cache"

    def tables(self, *, refresh: bool = False, progress: AnyProgress | None = None) -> Tables:
        """Read the tables of sessions, probes, channels and units; fetch them first if they are missing."""
        self.ensure([f"{name}.csv" for name in Tables._fields], refresh=refresh, progress=progress)
        return read_tables(self.place)

    def fetch_templates(self, *, progress: AnyProgress | None = None) -> None:
        """Fetch the images that were shown, if they are not here, and keep them as one file."""
        if self.templates.file.exists():
            return
        folder = "natural_scene_templates"
        files = self.ensure([f"{folder}/natural_scene_{k}.tiff" for k in range(N_SCENES)], progress=progress)
        self.templates.keep(tiff_images(files[0].parent), str(files[0].parent))

    def sessions(self, numbers: Sequence[int], windows: Sequence[SpikeCounts]) -> list[Session]:
        """Return the files to fetch for sessions, and the recordings to make from them."""
        return [
            Session(
                number,
                (f"session_{number}/session_{number}.nwb",),
                tuple(self.recordings(window.name) / f"{number}.nc" for window in windows),
            )
            for number in numbers
        ]

    def fetch_sessions(
        self,
        plan: FetchPlan,
        windows: Sequence[SpikeCounts],
        *,
        keep_raw: bool | None = None,
        workers: int = 4,
        progress: AnyProgress | None = None,
    ) -> FetchReport:
        """Carry out a plan for these windows (`Archive.fetch`)."""
        by_folder = {self.recordings(window.name): window for window in windows}
        reduction = partial(_reduce_neuropixels, by_folder, self.place)
        return self.fetch(plan, reduction, keep_raw=keep_raw, workers=workers, progress=progress)

    def recording(
        self, numbers: Sequence[int], window: SpikeCounts | None = None, *, progress: AnyProgress | None = None
    ) -> Recording:
        """Join the recordings of sessions that are here."""
        window = window or SpikeCounts()
        files = [self.recordings(window.name) / f"{number}.nc" for number in numbers]
        return join(self.read(files, progress), f"allen-neuropixels-{window.name}")


def _reduce_two_photon(
    measures: dict[Path, Measure], place: Path, session: Session, raw: Sequence[Path | None], missing: Sequence[Path]
) -> dict[Path, str]:
    file, events = raw[0], raw[1] if len(raw) > 1 else None
    if file is None:
        raise MurineError(f"experiment {session.id} has no file.")
    wanted = {target: measures[target.parent] for target in missing}
    without = [target for target, measure in wanted.items() if measure.signal == "events" and events is None]
    possible = {target: measure for target, measure in wanted.items() if target not in without}
    impossible = reduce_file(file, events, possible, place)
    reason = "the bucket has no events of this experiment"
    return impossible | {target: f"{wanted[target].name}: {reason}" for target in without}


def _reduce_neuropixels(
    windows: dict[Path, SpikeCounts], place: Path, session: Session, raw: Sequence[Path | None], missing: Sequence[Path]
) -> dict[Path, str]:
    (file,) = raw
    if file is None:
        raise MurineError(f"session {session.id} has no file.")
    tables = read_tables(place)
    for target in missing:
        window = windows[target.parent]
        limits = (window.start, window.stop)
        read_session(file, window=limits, tables=tables, areas=VISUAL_AREAS, isolated=False).write(target)
    return {}
