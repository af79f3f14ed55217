"""One two-photon experiment of the Allen Brain Observatory: an NWB 1.0 file, read with h5py.

The format is that which AllenSDK 2.16.2 reads (``docs/reference/sources.md``, *File formats*).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from murine.cortex.allen.ophys_metadata import METADATA, pipeline_version, session_metadata
from murine.cortex.allen.ophys_stimuli import presentations, stimulus_table
from murine.errors import MurineError, nearest
from murine.io.files import read_npz
from murine.io.hdf5 import Tree

if TYPE_CHECKING:
    import h5py

log = logging.getLogger(__name__)

PIPELINE = "processing/brain_observatory_pipeline"
FLUORESCENCE = f"{PIPELINE}/Fluorescence"
SEGMENTATION = f"{PIPELINE}/ImageSegmentation"
RUNNING = f"{PIPELINE}/BehavioralTimeSeries/running_speed"

#: What can be asked of the traces, with the unit of its responses.
SIGNALS = {
    "corrected": "percent of a local baseline",
    "dff": "fraction of the baseline",
    "events": "event size",
}

#: Bytes of traces that are read at once.
_READ_TOGETHER = 4 << 20

#: Samples by which traces may be longer or shorter than the clock: public files have one (AllenSDK reads them).
_LENGTHS_APART = 1

#: Share of frames whose time is that of the frame before: more is damage.
_MOST_REPEATED = 0.01


class Experiment:
    """A two-photon session: cells, their traces, running speed and what was shown.

    Opened lazily; nothing is read before it is asked for. Use it with ``with``, or call `close`.

    Parameters
    ----------
    file
        ``<experiment id>.nwb``.
    events
        ``<experiment id>_events.npz``, where events are wanted.

    Raises
    ------
    MurineError
        Here and in every property: if the file is damaged or not laid out as it should be; the message names the path
        inside it and what was expected.

    Notes
    -----
    Traces are (n_cells, n_frames); cell i is the same everywhere in the file. Frames are those of ``timestamps``.
    """

    def __init__(self, file: str | Path, events: str | Path | None = None) -> None:
        self.tree = Tree(file)
        self.events_file = None if events is None else Path(events)
        if PIPELINE not in self.tree and (version := self.tree.nwb_2()):
            self.close()
            raise MurineError(
                f"{str(file)!r} is NWB {version}; expected NWB 1, the format of the two-photon files that the Allen "
                "Institute publishes. Conversions to NWB 2, as on DANDI, lack the blank sweeps: fetch the original "
                "with `murine data fetch allen`. Files of Allen Neuropixels sessions, which are NWB 2, are read by "
                "murine.cortex.allen.neuropixels.read_session."
            )

    def __enter__(self) -> Experiment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.tree.close()

    def __repr__(self) -> str:
        return f"<Experiment {self.experiment_id}: {self.n_cells} cells, {self.metadata.get('session_type', '?')}>"

    # ------------------------------------------------------------------------------------------------- labels

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the session in the file, with AllenSDK's names; missing values are left out.

        ``cre_line`` is the first part of the genotype in the catalogue's spelling, without ``/wt``. Take it and the
        class from the catalogue where there is one: genotypes in the files are spelled in several ways.
        """
        return session_metadata(self.tree)

    @cached_property
    def pipeline_version(self) -> str:
        """Return the last text of ``general/generated_by``; 0.9 if there is none."""
        return pipeline_version(self.tree)

    @property
    def _demixes(self) -> bool:
        """Whether the pipeline was one that separates overlapping cells, from version 2.0."""
        major = re.match(r"\d{1,9}(?!\d)", self.pipeline_version)
        return major is not None and int(major[0]) >= 2

    @property
    def experiment_id(self) -> int:
        """The experiment id in the metadata; if it is missing, the number at the start of the file's name."""
        found = self.metadata.get("ophys_experiment_id")
        if found is None:
            number = re.match(r"\d{1,18}(?!\d)", self.tree.file.name)
            if number is None:
                self.tree.refuse(METADATA["ophys_experiment_id"], "nothing there", "the experiment's number")
            found = int(number[0])
        return int(found)

    @cached_property
    def cell_specimen_ids(self) -> Int[np.ndarray, " n_cells"]:
        """Identities of the cells across sessions of their container; not positive where a cell has none."""
        return self.tree.array(f"{SEGMENTATION}/cell_specimen_ids", (None,), "iu").astype(np.int64)

    @cached_property
    def roi_ids(self) -> list[str]:
        """Ids of the cells in this experiment only; their positions if the file has no ids."""
        path = f"{SEGMENTATION}/roi_ids"
        if path not in self.tree:
            return [str(i) for i in range(self.n_cells)]
        kind = self.tree.dataset(path, (self.n_cells,), "iuSO").dtype.kind
        if kind in "iu":
            return [str(i) for i in self.tree.array(path, (self.n_cells,), "iu")]
        return self.tree.texts(path, (self.n_cells,))

    @property
    def n_cells(self) -> int:
        return len(self.cell_specimen_ids)

    # ------------------------------------------------------------------------------------------------- traces

    @cached_property
    def timestamps(self) -> Float[np.ndarray, " n_frames"]:
        """Times of the frames in seconds, by the clock of the session. If some repeat, the log says so."""
        path = f"{FLUORESCENCE}/imaging_plane_1/timestamps"
        times = self.tree.array(path, (None,), "f").astype(np.float64)
        steps = np.diff(times)
        n_repeated = int((steps == 0).sum())
        if (
            len(times) < 2
            or not np.isfinite(times).all()
            or (steps < 0).any()
            or n_repeated > max(1, _MOST_REPEATED * len(times))
            or n_repeated == len(steps)
        ):
            self.tree.refuse(path, f"{len(times)} times that do not all increase", "increasing times of frames")
        if n_repeated:
            log.warning("%s: %d of %d frames have the time of the frame before", self.tree.file, n_repeated, len(times))
        return times

    @property
    def n_frames(self) -> int:
        return len(self.timestamps)

    @property
    def acquisition_rate(self) -> float:
        """Frames a second, from the first two frames (as AllenSDK does); NaN where these have the same time."""
        seconds = float(self.timestamps[1] - self.timestamps[0])
        return 1 / seconds if seconds else float("nan")

    def n_samples(self, signal: str = "corrected") -> int:
        """How many samples the windows of sweeps are taken from: ``n_frames``, or one more or less.

        Of ``corrected`` and ``events`` those that are stored, as in AllenSDK; of ``dff`` those of the clock.
        """
        if signal == "events":
            return int(self._events.shape[1])
        return self.n_frames if signal == "dff" else int(self._datasets(signal)[0][1].shape[1])

    def traces(
        self, signal: str = "corrected", frames: Sequence[slice] = (slice(None),)
    ) -> Shaped[np.ndarray, "n_cells n_frames"]:
        """Read the traces of a signal.

        Parameters
        ----------
        signal
            ``corrected``: demixed fluorescence minus neuropil times its contamination ratio, computed in the stored
            types (before version 2.0 of the pipeline: raw fluorescence minus that); ``dff``: the stored dF/F, a
            fraction; ``events``: sizes of the events of the events file. The number of samples may differ from that
            of frames by one.
        frames
            Pieces of the recording, in order, that are read and joined; all of it by default.

        Returns
        -------
        traces
            float32 or float64, as stored. NaN stays NaN.
        """
        if signal == "events":
            return np.concatenate([self._events[:, piece] for piece in frames], axis=1)
        (path, measured), *subtracted = self._datasets(signal)
        dtypes = [dataset.dtype for _, dataset in subtracted] + [self._contamination.dtype] * len(subtracted)
        dtype = np.result_type(measured.dtype, *dtypes)
        widths = [len(range(*piece.indices(measured.shape[1]))) for piece in frames]
        row = sum(widths) * dtype.itemsize
        if self.n_cells * row > self.tree.max_bytes:
            found = f"{self.n_cells} cells x {sum(widths)} frames of {dtype}"
            self.tree.refuse(path, found, f"at most {self.tree.max_bytes:,} bytes")
        traces = np.empty((self.n_cells, sum(widths)), dtype)
        # Whole rows of chunks, so that no chunk is decompressed twice, and few enough to stay in the cache.
        step = measured.chunks[0] if measured.chunks else 1
        step *= max(1, _READ_TOGETHER // max(1, row * step))
        for start in range(0, self.n_cells, step):
            cells = slice(start, start + step)
            stop = 0
            for piece, width in zip(frames, widths, strict=True):
                part = traces[cells, stop : stop + width]
                part[:] = self.tree.read(path, measured, cells, piece)
                for path_subtracted, neuropil in subtracted:
                    part -= self.tree.read(path_subtracted, neuropil, cells, piece) * self._contamination[cells, None]
                stop += width
        return traces

    def frames_together(self, signal: str = "corrected") -> int:
        """The number of frames stored in one chunk: skipping fewer frames does not save reading."""
        if signal == "events":
            return 1
        return max(dataset.chunks[1] if dataset.chunks else 1 for _, dataset in self._datasets(signal))

    def _datasets(self, signal: str) -> list[tuple[str, h5py.Dataset]]:
        """Return the arrays of a signal with their paths: the measured traces, and the neuropil traces to subtract."""
        if signal not in SIGNALS:
            raise MurineError(
                f"there is no signal {signal!r}{nearest(signal, SIGNALS) or '.'} Known: {', '.join(SIGNALS)}."
            )
        plane = f"{FLUORESCENCE}/imaging_plane_1"
        if signal == "dff":
            path = f"{PIPELINE}/DfOverF/imaging_plane_1/data"
            return [(path, self.tree.dataset(path, (self.n_cells, None), "f"))]
        paths = [f"{plane}/data", f"{plane}/neuropil_traces"]
        if self._demixes:
            paths = [f"{plane}_demixed_signal/data", f"{plane}_neuropil_response/data"]
        found = [(path, self.tree.dataset(path, (self.n_cells, None))) for path in paths]
        n_samples = found[0][1].shape[1]
        for path, dataset in found:
            # AllenSDK takes traces of any length, but cannot subtract one from another of another length.
            if dataset.shape[1] != n_samples or abs(n_samples - self.n_frames) > _LENGTHS_APART:
                self.tree.refuse(
                    path,
                    f"{dataset.shape[1]} samples of each cell",
                    f"{n_samples}, as in {paths[0]}"
                    if dataset.shape[1] != n_samples
                    else f"{self.n_frames}, the number of frames, or one more or less",
                )
        return found

    @cached_property
    def _contamination(self) -> Shaped[np.ndarray, " n_cells"]:
        group = "imaging_plane_1_neuropil_response" if self._demixes else "imaging_plane_1"
        return self.tree.array(f"{FLUORESCENCE}/{group}/r", (self.n_cells,), "f")

    @cached_property
    def _events(self) -> Shaped[np.ndarray, "n_cells n_frames"]:
        if self.events_file is None:
            raise MurineError(
                f"events of experiment {self.experiment_id} were asked for, but no events file was given "
                "(<experiment id>_events.npz; `murine data fetch allen --events` gets it; 105 experiments have none)."
            )
        arrays = read_npz(self.events_file, max_bytes=1 << 30)
        events = arrays.get("ev")
        expected = (self.n_cells, self.n_frames)
        fits = (
            events is not None
            and events.ndim == 2
            and len(events) == self.n_cells
            and abs(events.shape[1] - self.n_frames) <= _LENGTHS_APART
        )
        if events is None or not fits or events.dtype.kind not in "fiu":
            found = ", ".join(f"{key} {value.dtype} {value.shape}" for key, value in arrays.items()) or "nothing"
            raise MurineError(
                f"{str(self.events_file)!r}, ev: found {found}; expected numbers of shape {expected}, the cells and "
                f"frames of {self.tree.file.name} (or one frame more or less)."
            )
        return events

    # ---------------------------------------------------------------------------------------------- behaviour

    @cached_property
    def running_speed(self) -> Float[np.ndarray, " n_frames"]:
        """Running speed (cm/s) at every frame; NaN where it was not measured.

        It starts at the frame whose time is exactly its first time, and fills up with NaN on both sides; samples after
        the last frame are left out.

        Raises
        ------
        MurineError
            If there is none, or its first time is not the time of a frame, so that the frames of its samples are
            unknown (AllenSDK raises IndexError).
        """
        path = f"{RUNNING}/data"
        dataset = self.tree.dataset(path, None)
        flat = (None, 1) if len(dataset.shape) == 2 else (None,)
        speed = self.tree.array(path, flat).reshape(-1).astype(np.float64)
        times = self.tree.array(f"{RUNNING}/timestamps", (len(speed),))
        padded = np.full(self.n_frames, np.nan)
        if not len(speed):
            return padded
        start = int(np.searchsorted(self.timestamps, times[0]))
        if start == self.n_frames or self.timestamps[start] != times[0]:
            self.tree.refuse(
                f"{RUNNING}/timestamps",
                f"a first time of {float(times[0])!r} s",
                f"the time of a frame, to the bit (the first is at {float(self.timestamps[0])!r} s)",
            )
        n_samples = min(len(speed), self.n_frames - start)
        if n_samples < len(speed):
            log.warning(
                "%s: %d of %d samples of the running speed come after the last frame and are left out",
                self.tree.file,
                len(speed) - n_samples,
                len(speed),
            )
        padded[start : start + n_samples] = speed[:n_samples]
        return padded

    # ------------------------------------------------------------------------------------------------ stimuli

    def shows(self, stimulus: str = "natural_scenes") -> bool:
        """Whether a stimulus was shown in this session."""
        return bool(presentations(self.tree, stimulus))

    def stimulus_table(self, stimulus: str = "natural_scenes") -> pd.DataFrame:
        """When which image was shown: ``frame`` (the image; -1 is the blank screen), ``start`` and ``end`` (frames of
        the session), in time order (start, then end); the index is the row in the file.

        Single sweeps that start after the last frame, or end before they start, are left out, which the log tells.

        Raises
        ------
        MurineError
            If the stimulus was not shown, or is there twice.
        """
        return stimulus_table(self.tree, stimulus, self.n_frames)

    def scene_template(self) -> h5py.Dataset:
        """The stack of natural scenes, (n_scenes, height, width), not read."""
        return self.tree.dataset("stimulus/templates/natural_scenes_image_stack/data", (None, None, None))
