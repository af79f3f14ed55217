"""Files laid out as the Allen Brain Observatory's two-photon files are, small, with responses that we planted.

Written from sections 2 to 4 of the format's specification with h5py alone, so that a reader is tested against
something that does not share its code. ``write_experiment`` writes one NWB 1.0 file, ``write_tree`` a whole bucket.
Everything follows from the options (a frozen dataclass) and its seed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import scene_truth

N_SCENES = 118
BLANK = -1
PIPE = "processing/brain_observatory_pipeline"
SOURCES = {  # driver: (every transgenic line of the mouse, sections 2.3 and 9)
    "Cux2-CreERT2": ("Cux2-CreERT2", "Camk2a-tTA", "Ai93(TITL-GCaMP6f)"),
    "Scnn1a-Tg3-Cre": ("Scnn1a-Tg3-Cre", "Camk2a-tTA", "Ai93(TITL-GCaMP6f)"),
    "Rbp4-Cre_KL100": ("Rbp4-Cre_KL100", "Camk2a-tTA", "Ai93(TITL-GCaMP6f)"),
    "Sst-IRES-Cre": ("Sst-IRES-Cre", "Ai148(TIT2L-GC6f-ICL-tTA2)"),
    "Vip-IRES-Cre": ("Vip-IRES-Cre", "Ai148(TIT2L-GC6f-ICL-tTA2)"),
    "Pvalb-IRES-Cre": ("Pvalb-IRES-Cre", "Ai162(TIT2L-GC6s-ICL-tTA2)"),
}
LINE_IDS = {"Cux2-CreERT2": 177839004, "Camk2a-tTA": 177837320, "Ai93(TITL-GCaMP6f)": 265943423}
STRUCTURE_IDS = {"VISp": 385, "VISl": 409, "VISal": 402, "VISpm": 533, "VISam": 394, "VISrl": 417}


@dataclass(frozen=True)
class Options:
    """What one experiment's file holds.

    Cells are planted in turn: helped by running, held back by running, tuned to the scene with fewer repetitions,
    pure noise, broadly tuned. ``preferred_scene`` says which scene each cell was given.
    """

    experiment: int = 501559087
    container: int = 511510736
    session_type: str = "three_session_B"
    area: str = "VISp"
    depth: int = 175
    driver: str = "Cux2-CreERT2"
    donor: str = "222426"
    specimen: int = 500000001
    sex: str = "female"
    age_days: int = 103
    seed: int = 0

    cells: int = 6
    """Rows of every trace, those of the special cells below included."""
    cell_ids: tuple[int, ...] | None = None
    """Cell specimen ids in file order; by default out of order, made from the experiment's id."""
    missing_id: int | None = None
    """Row of the cell whose id is -1."""
    constant_cell: int | None = None
    """Row of the cell whose traces never change."""
    nan_cell: int | None = None
    """Row of the cell with a hole of NaN (demixed, raw and dF/F)."""
    nan_at: str = "other"
    """What it touches: windows of ``other`` scenes than the preferred one only, the ``preferred`` one's, the ``tail``
    of a preferred one's (samples that enter neither its baseline nor its mean), ``nothing``, or ``all`` frames."""
    nan_frames: int = 5

    dtype: str = "float32"
    """Type of the stored traces."""
    ratio_dtype: str | None = None
    """Type of the stored contamination ratios; by default that of the traces."""
    speed_dtype: str = "float64"
    compression: str | None = None
    """h5py's compression of the traces, which are then chunked."""
    pipeline: str | None = "3.0"
    """Version; below 2.0 the older layout; None leaves ``generated_by`` out, which means 0.9."""
    demixed: bool = True
    """False: a new file whose demixed series is missing."""
    dff_extra: int = -1
    """Samples by which dF/F is longer or shorter than its timestamps."""
    events: bool = True
    """Whether the tree has an events file for this experiment."""

    scene_group: str = "natural_scenes_stimulus"
    second_scene_group: bool = False
    """True: the scenes stored under both of their names, an error."""
    hard_link: bool = False
    """True: the template linked as no public file does it."""
    repetitions: int = 12
    """Presentations of each scene and of the blank, over three blocks; mice run in every other repetition."""
    fewer: tuple[tuple[int, int], ...] = ((17, 9),)
    """(scene, presentations) of scenes shown less often; scene -1 is the blank."""
    sweep_frames: int = 7
    """End minus start of every sweep."""
    second_sweep_frames: int | None = None
    """End minus start of the second sweep in time, if it is to differ."""
    shuffled: bool = True
    """Rows of the table out of time order."""
    lead_in: int = 100
    """Frames between the start of the first scene and the gratings before it, or the first frame of all."""
    lead_out: int = 100
    """Frames after the start of the last sweep."""
    gratings: bool = True
    """Whether other stimuli are shown and stored."""
    late_running: int = 150
    """Frames before the running speed starts (its times are bitwise those of the imaging clock)."""
    short_running: int = 60
    """Frames before the end at which it stops."""
    running_off_clock: bool = False
    """True: times of the running speed that are on no frame of the clock."""
    template_shape: tuple[int, int] = (9, 11)
    """Rows and columns of a scene; the real ones are 918 x 1174."""
    template_seed: int = 7
    """The same in all files of one data set, whatever their seed."""

    @property
    def old(self) -> bool:
        """Whether the layout is the one before pipeline 2.0."""
        return self.pipeline is None or float(self.pipeline) < 2

    @property
    def specimen_ids(self) -> np.ndarray:
        """Cell specimen ids in file order, -1 for the missing one."""
        if self.cell_ids is not None:
            ids = np.array(self.cell_ids, dtype=np.int64)
            assert len(ids) == self.cells, "cell_ids: one per cell"
        else:
            ids = 517_000_000 + self.experiment % 100_000 * 100 + np.arange(self.cells, dtype=np.int64)
            ids = np.random.default_rng(self.seed + 1).permutation(ids)
        if self.missing_id is not None:
            ids[self.missing_id] = -1
        return ids

    @property
    def genotype(self) -> str:
        """As NWB files spell it, ``/wt`` included."""
        return ";".join(f"{line}/wt" for line in SOURCES[self.driver])

    @property
    def name(self) -> str:
        """Name of the mouse."""
        return ";".join(line.split("(")[0] for line in SOURCES[self.driver]) + f"-{self.donor}"

    def preferred_scene(self, cell: int) -> int | None:
        """The scene that this row of the file was tuned to; None for cells without signal."""
        if cell == self.constant_cell or _kind(cell) == "noise":
            return None
        if _kind(cell) == "rare" and self.fewer:
            return self.fewer[0][0]
        return (41 + 31 * cell + 7 * self.seed) % N_SCENES


def _kind(cell: int) -> str:
    return ("helped", "hindered", "rare", "noise", "broad")[cell % 5]


@dataclass(frozen=True)
class _Session:
    """When what was shown, and how the animal ran: the same for every cell."""

    options: Options
    rng: np.random.Generator = field(repr=False)

    @cached_property
    def layout(self) -> dict[str, list[tuple[int, int, float]]]:
        """Sweeps of each stimulus in time order: start, end, and what was shown."""
        o, at = self.options, 0
        plan: dict[str, list[tuple[int, int, float]]] = {n: [] for n in ("gratings", "scenes", "spontaneous", "movie")}

        def show(stimulus: str, values: np.ndarray) -> None:
            nonlocal at
            for k, value in enumerate(values):
                start = at + int(np.floor(k * 7.52))
                plan[stimulus].append((start, start + o.sweep_frames, float(value)))
            at = plan[stimulus][-1][0] + 8 + 60 if len(values) else at

        def spontaneous(frames: int) -> None:
            nonlocal at
            plan["spontaneous"] += [(at, at, 1.0), (at + frames, at + frames, -1.0)]
            at += frames + 40

        if o.gratings:
            at = 20
            show("gratings", np.arange(10))
        at = at - 68 + o.lead_in if o.gratings else o.lead_in
        blocks = self.scene_blocks if o.session_type == "three_session_B" else [np.arange(0)] * 3
        show("scenes", blocks[0])
        if o.gratings:
            spontaneous(240)
        show("scenes", blocks[1])
        if o.gratings:
            show("gratings", np.arange(10))
            show("movie", np.tile(np.arange(20), 2))
            show("gratings", np.arange(10))
        show("scenes", blocks[2])
        if o.second_sweep_frames is not None:
            start, _, value = plan["scenes"][1]
            plan["scenes"][1] = (start, start + o.second_sweep_frames, value)
        return plan

    @cached_property
    def scene_blocks(self) -> list[np.ndarray]:
        """Three blocks of scenes; -1 is the blank. Each repetition shows every condition once, in its own order."""
        o = self.options
        counts = dict.fromkeys(range(BLANK, N_SCENES), o.repetitions) | dict(o.fewer)
        rounds = [
            self.rng.permutation([scene for scene, n in counts.items() if n > repetition])
            for repetition in range(max(counts.values()))
        ]
        sequence = np.concatenate(rounds)
        thirds = [len(sequence) // 3, 2 * len(sequence) // 3]
        return np.split(sequence, thirds)

    @cached_property
    def frames(self) -> int:
        """Length of the recording."""
        sweeps = [sweep for rows in self.layout.values() for sweep in rows]
        last = self.layout["scenes"][-1] if self.layout["scenes"] else max(sweeps)
        return last[0] + self.options.lead_out

    @cached_property
    def clock(self) -> np.ndarray:
        """Seconds of every frame: about 30.1 Hz, not quite even."""
        steps = (1 + 0.002 * self.rng.uniform(-1, 1, self.frames)) / 30.08
        return 4.2 + np.cumsum(steps)

    @cached_property
    def speed(self) -> np.ndarray:
        """cm/s on every frame: the animal runs during every other repetition of the scenes."""
        state = np.zeros(self.frames)
        conditions = N_SCENES + 1
        for k, (start, _, _) in enumerate(self.layout["scenes"]):
            state[start:] = (k // conditions) % 2
        smooth = np.convolve(state, np.ones(5) / 5, mode="same")
        return 12 * smooth + 0.3 * self.rng.standard_normal(self.frames)


@dataclass(frozen=True)
class _Signals:
    raw: np.ndarray
    demixed: np.ndarray
    neuropil: np.ndarray
    ratio: np.ndarray
    dff: np.ndarray
    events: np.ndarray


def _drive(session: _Session, cell: int) -> np.ndarray:
    """Calcium response of one cell as a fraction of its baseline: each scene starts a transient."""
    o, rng = session.options, session.rng
    preferred = o.preferred_scene(cell)
    kind = _kind(cell)
    gains = rng.exponential(0.5 if kind == "broad" else 0.06, N_SCENES + 1)
    gains[-1] = 0
    if preferred is None:
        gains[:] = 0
    else:
        gains[preferred] = 6.0 if kind == "broad" else 1.8
    impulses = np.zeros(session.frames)
    for start, _, scene in session.layout["scenes"]:
        runs = session.speed[start] > 3
        by_running = {"helped": (0.7, 1.6), "hindered": (1.5, 0.5)}.get(kind, (1.0, 1.0))[int(runs)]
        onset = start + 2 + int(rng.integers(0, 2))
        if onset < session.frames:
            impulses[onset] += gains[int(scene)] * by_running * rng.gamma(12, 1 / 12)
    time = np.arange(40)
    kernel = (1 - np.exp(-time / 1.5)) * np.exp(-time / 5)
    return np.convolve(impulses, kernel / kernel.max())[: session.frames]


def _hole(session: _Session) -> slice:
    """Frames to make NaN, by what they are to touch: a sweep's window reaches from 4 lengths before to 5 after."""
    o = session.options
    if o.nan_at == "all":
        return slice(0, session.frames)
    preferred = o.preferred_scene(o.nan_cell or 0)
    sweeps = session.layout["scenes"]
    starts = np.array([start for start, _, _ in sweeps])
    favourite = np.array([scene == preferred for _, _, scene in sweeps])
    for first in np.roll(np.arange(session.frames - o.nan_frames), -starts[len(starts) // 5]):
        after_start = first + o.nan_frames > starts - 4 * o.sweep_frames
        touched = after_start & (first < starts + 5 * o.sweep_frames)
        matters = after_start & (first < starts + 2 * o.sweep_frames)
        wanted = {
            "nothing": not touched.any(),
            "other": touched.any() and not touched[favourite].any(),
            "preferred": matters[favourite].any(),
            "tail": touched[favourite].any() and not matters[favourite].any(),
        }[o.nan_at]
        if wanted:
            return slice(int(first), int(first) + o.nan_frames)
    raise ValueError(f"no frames for a hole that touches {o.nan_at}")


def _signals(session: _Session) -> _Signals:
    o, rng, frames = session.options, session.rng, session.frames
    brightness = rng.uniform(300, 900, o.cells)
    ratio = rng.uniform(0.2, 0.9, o.cells)
    common = np.convolve(rng.standard_normal(frames), np.ones(30) / 30, mode="same")
    drive = np.stack([_drive(session, cell) for cell in range(o.cells)])
    noise = 0.08 * rng.standard_normal((o.cells, frames))
    neuropil = 200 * (1 + 0.2 * common + 0.02 * rng.standard_normal((o.cells, frames)))
    cell = brightness[:, None] * (1 + drive + noise)
    demixed = cell + ratio[:, None] * neuropil
    raw = demixed + 3 * rng.standard_normal((o.cells, frames))
    events = np.where(np.diff(drive, axis=1, prepend=0) > 0.1, drive, 0.0)
    dff = drive + noise
    if o.constant_cell is not None:
        for trace, value in ((raw, 640.0), (demixed, 512.0), (neuropil, 128.0), (dff, 0.0), (events, 0.0)):
            trace[o.constant_cell] = value
    if o.nan_cell is not None:
        hole = _hole(session)
        for trace in (raw, demixed, dff):
            trace[o.nan_cell, hole] = np.nan
        events[o.nan_cell] = np.nan
    length = frames + o.dff_extra
    dff = np.pad(dff, ((0, 0), (0, max(0, o.dff_extra))), mode="edge")[:, :length]
    typed = [x.astype(o.dtype) for x in (raw, demixed, neuropil, dff)]
    return _Signals(
        typed[0], typed[1], typed[2], ratio.astype(o.ratio_dtype or o.dtype), typed[3], events.astype(np.float32)
    )


def _text(group: h5py.Group, path: str, value: str | list[str]) -> None:
    """Fixed-length byte strings, as every public file has them."""
    group[path] = np.array(value, dtype="S") if isinstance(value, list) else np.bytes_(value)


def templates(options: Options) -> np.ndarray:
    """The scenes: whole numbers from 0 to 255, stored as float32."""
    rng = np.random.default_rng(options.template_seed)
    small = rng.integers(0, 256, (N_SCENES, 9, 11))
    rows, columns = options.template_shape
    whole = small[:, np.arange(rows) * 9 // rows][:, :, np.arange(columns) * 11 // columns]
    return whole.astype(np.float32)


def _write_cells(file: h5py.File, session: _Session, signals: _Signals) -> None:
    o = session.options
    names = [f"roi_{k:03d}" for k in range(o.cells)]
    plane = f"{PIPE}/ImageSegmentation/imaging_plane_1"
    file[f"{PIPE}/ImageSegmentation/cell_specimen_ids"] = o.specimen_ids
    _text(file, f"{PIPE}/ImageSegmentation/roi_ids", [str(o.experiment * 10 + k) for k in range(o.cells)])
    _text(file, f"{plane}/roi_list", names)
    for k, name in enumerate(names):
        mask = np.zeros((512, 512), dtype=np.uint8)
        row, column = 20 + 30 * (k % 15), 40 + 20 * (k % 20)
        mask[row : row + 8, column : column + 6] = 1
        inside = np.argwhere(mask)[:, ::-1].astype(np.int64)
        file.create_dataset(f"{plane}/{name}/img_mask", data=mask, compression="gzip")
        file[f"{plane}/{name}/pix_mask"] = inside
        file[f"{plane}/{name}/pix_mask_weight"] = np.ones(len(inside), dtype=np.float32)
        _text(file, f"{plane}/{name}/roi_description", f"roi {k}")
    projection = np.zeros((512, 512), dtype=np.uint8)
    images = f"{plane}/reference_images/maximum_intensity_projection_image"
    file.create_dataset(f"{images}/data", data=projection, compression="gzip")

    def trace(path: str, values: np.ndarray) -> None:
        file.create_dataset(path, data=values, compression=o.compression)

    fluorescence, dff = f"{PIPE}/Fluorescence", f"{PIPE}/DfOverF/imaging_plane_1"
    trace(f"{fluorescence}/imaging_plane_1/data", signals.raw)
    file[f"{fluorescence}/imaging_plane_1/timestamps"] = session.clock
    _text(file, f"{fluorescence}/imaging_plane_1/roi_names", names)
    if o.old:
        trace(f"{fluorescence}/imaging_plane_1/neuropil_traces", signals.neuropil)
        file[f"{fluorescence}/imaging_plane_1/r"] = signals.ratio
        file[f"{fluorescence}/imaging_plane_1/rmse"] = np.full(o.cells, 0.1)
    else:
        series = f"{fluorescence}/imaging_plane_1_neuropil_response"
        trace(f"{series}/data", signals.neuropil)
        file[f"{series}/r"] = signals.ratio
        file[f"{series}/rmse"] = np.full(o.cells, 0.1)
        file[f"{series}/timestamps"] = h5py.SoftLink(f"/{fluorescence}/imaging_plane_1/timestamps")
        # Present in converted files, and not to be used: a reader that takes these is wrong.
        file[f"{fluorescence}/imaging_plane_1/r"] = np.full(o.cells, 0.7)
        if o.demixed:
            trace(f"{fluorescence}/imaging_plane_1_demixed_signal/data", signals.demixed)
    trace(f"{dff}/data", signals.dff)
    file[f"{dff}/timestamps"] = session.clock
    _text(file, f"{dff}/roi_names", names)


def _write_behaviour(file: h5py.File, session: _Session) -> None:
    o = session.options
    kept = slice(o.late_running, session.frames - o.short_running)
    speed, times = session.speed[kept].astype(o.speed_dtype), session.clock[kept]
    if o.running_off_clock:
        times = times + 1e-3
    old = o.old
    group = f"{PIPE}/BehavioralTimeSeries/running_speed"
    file[f"{group}/data"] = speed[:, None] if old else speed
    file[f"{group}/timestamps"] = times
    shift = "xy_translations" if old else "xy_translation"
    motion = f"{PIPE}/MotionCorrection/2p_image_series/{shift}"
    file.create_dataset(f"{motion}/data", data=np.zeros((session.frames, 2)), compression="gzip")
    file[f"{motion}/timestamps"] = session.clock
    _text(file, f"{motion}/feature_description", ["motion x", "motion y"])


def _present(
    file: h5py.File, session: _Session, stimulus: str, rows: list[tuple[int, int, float]], data: np.ndarray
) -> h5py.Group:
    order = np.arange(len(rows))
    if stimulus.startswith("natural_scenes") and session.options.shuffled:
        order = np.random.default_rng(session.options.seed + 2).permutation(len(rows))
    durations = np.array([(start, end) for start, end, _ in rows], dtype=np.int64)[order]
    group = file.create_group(f"stimulus/presentation/{stimulus}")
    group["data"] = data[order]
    group["frame_duration"] = durations
    group["timestamps"] = session.clock[durations[:, 0]]
    group["num_samples"] = len(rows)
    return group


def _write_stimuli(file: h5py.File, session: _Session) -> None:
    o, plan = session.options, session.layout
    file.create_group("stimulus/templates")
    file.create_group("stimulus/presentation")

    def indexed(name: str, images: np.ndarray, rows: list[tuple[int, int, float]]) -> None:
        shown = np.array([value for _, _, value in rows]).astype(np.int64)
        stack = f"stimulus/templates/{name.removesuffix('_stimulus')}_image_stack"
        file.create_dataset(f"{stack}/data", data=images, compression="gzip", chunks=(1, *images.shape[1:]))
        group = _present(file, session, name, rows, shown)
        group["indexed_timeseries"] = file[stack] if o.hard_link else h5py.SoftLink(f"/{stack}")

    def featured(name: str, features: list[str], values: np.ndarray, rows: list[tuple[int, int, float]]) -> None:
        group = _present(file, session, name, rows, values)
        _text(group, "features", features)

    rng = np.random.default_rng(3)
    movie = rng.integers(0, 256, (20, 6, 8)).astype(np.uint8)
    gratings = np.array([(30.0 * (k % 6), 0.04, 0.25) for k in range(len(plan["gratings"]))]).reshape(-1, 3)
    gratings[4::10] = np.nan
    if o.session_type == "three_session_B":
        indexed(o.scene_group, templates(o), plan["scenes"])
        if o.second_scene_group:
            file.copy(f"stimulus/presentation/{o.scene_group}", "stimulus/presentation/natural_scenes")
        if o.gratings:
            featured(
                "static_gratings_stimulus", ["orientation", "spatial_frequency", "phase"], gratings, plan["gratings"]
            )
    elif o.session_type == "three_session_A":
        values = np.nan_to_num(gratings)
        featured(
            "drifting_gratings_stimulus", ["temporal_frequency", "orientation", "blank_sweep"], values, plan["gratings"]
        )
    else:
        noise = rng.choice(np.array([0, 127, 255], dtype=np.uint8), (30, 16, 28))
        name = "locally_sparse_noise" if o.session_type == "three_session_C" else "locally_sparse_noise_4deg"
        indexed(f"{name}_stimulus", noise, [(s, e, float(k)) for k, (s, e, _) in enumerate(plan["gratings"])])
    if o.gratings:
        indexed("natural_movie_one_stimulus", movie, plan["movie"])
        both = plan["spontaneous"]
        _present(file, session, "spontaneous_stimulus", both, np.array([value for _, _, value in both]))


def _write_general(file: h5py.File, options: Options) -> None:
    o = options
    microscope = "Nikon A1R-MP multiphoton microscope. CAM2P.2 Please see the paper."
    values = {
        "nwb_version": "NWB-1.0.6",
        "identifier": f"murine fixture {o.experiment}",
        "session_description": "written by a test",
        "session_start_time": "Wed May 31 10:29:38 2017",
        "general/session_id": str(o.experiment),
        "general/ophys_experiment_id": str(o.experiment),
        "general/experiment_container_id": str(o.container),
        "general/session_type": o.session_type,
        "general/fov": "400x400 microns (512 x 512 pixels)",
        "general/specimen_name": o.name,
        "general/targeted_structure": o.area,
        "general/institution": "none",
        "general/subject/genotype": o.genotype,
        "general/subject/sex": o.sex,
        "general/subject/age": f"{o.age_days} days",
        "general/subject/subject_id": o.donor,
        "general/subject/species": "Mus musculus",
        "general/devices/2-photon microscope": microscope,
        "general/optophysiology/imaging_plane_1/location": o.area,
        "general/optophysiology/imaging_plane_1/imaging depth": f"{o.depth} microns",
        "general/optophysiology/imaging_plane_1/excitation_lambda": "910 nanometers",
        "general/optophysiology/imaging_plane_1/indicator": "GCaMP6s" if "Pvalb" in o.driver else "GCaMP6f",
    }
    for path, value in values.items():
        _text(file, path, value)
    if o.pipeline is not None:
        _text(file, "general/generated_by", ["LIMS", "pipeline", "version", o.pipeline])


def write_experiment(path: Path | str, options: Options = Options()) -> None:
    """Write the NWB 1.0 file of one experiment, and nothing else."""
    _write(Path(path), None, options)


def write_events(path: Path | str, options: Options = Options()) -> None:
    """Write the events file that belongs to ``write_experiment`` of the same options."""
    _write(None, Path(path), options)


def _write(nwb: Path | None, events: Path | None, options: Options) -> None:
    session = _Session(options, np.random.default_rng(options.seed))
    signals = _signals(session)
    if nwb is not None:
        with h5py.File(nwb, "w") as file:
            _write_general(file, options)
            _write_cells(file, session, signals)
            _write_behaviour(file, session)
            _write_stimuli(file, session)
    if events is not None:
        np.savez_compressed(events, ev=signals.events)


@dataclass(frozen=True)
class Container:
    """One row of ``experiment_containers.json``."""

    id: int
    failed: bool = False
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tree:
    """What ``write_tree`` wrote."""

    root: Path
    experiments: dict[int, Options]
    containers: dict[int, Container]
    cells: list[dict[str, object]]
    """Rows of ``cell_specimens.json``."""

    @property
    def prefix(self) -> Path:
        """The folder that the bucket's keys start with."""
        return self.root / "visual-coding-2p"

    def nwb(self, experiment: int) -> Path:
        """Path of an experiment's NWB file."""
        return self.prefix / "ophys_experiment_data" / f"{experiment}.nwb"

    def events(self, experiment: int) -> Path:
        """Path of an experiment's events file, whether or not there is one."""
        return self.prefix / "ophys_experiment_events" / f"{experiment}_events.npz"

    @property
    def scene_experiments(self) -> list[int]:
        """Experiments that AllenSDK lists for the natural scenes: session B, container not failed."""
        return [
            e
            for e, o in self.experiments.items()
            if o.session_type == "three_session_B" and not self.containers[o.container].failed
        ]


SHARED_CELL = 517394843
"""Cell specimen id in the A, B and C files of one container."""
TWICE_SEEN_CELL = 541000017
"""Cell specimen id in two B files of one container."""


def standard_experiments(cells: int = 6, repetitions: int = 12) -> tuple[list[Options], list[Container]]:
    """A data set of ten experiments and five containers with everything that can be odd about one."""
    common = Options(cells=cells, repetitions=repetitions)
    rest = tuple(range(517394850, 517394850 + 10 * (cells - 1), 10))
    cux = replace(common, container=511510736, area="VISp", depth=175, driver="Cux2-CreERT2", donor="222426")
    sst = replace(
        common, container=511498742, area="VISl", depth=275, driver="Sst-IRES-Cre", donor="240001", specimen=500000002
    )
    vip = replace(
        common, container=511500480, area="VISp", depth=225, driver="Vip-IRES-Cre", donor="250002", specimen=500000003
    )
    twice = tuple(range(541000001, 541000001 + cells - 1))
    scnn = replace(
        common, container=511507811, area="VISl", depth=350, driver="Scnn1a-Tg3-Cre", donor="221470", specimen=500000004
    )
    experiments = [
        replace(cux, experiment=501704220, session_type="three_session_A", cell_ids=(*rest, SHARED_CELL), seed=1),
        replace(
            cux,
            experiment=501559087,
            cell_ids=(SHARED_CELL, *rest[::-1]),
            missing_id=3,
            constant_cell=4,
            nan_cell=1,
            seed=2,
        ),
        replace(cux, experiment=501474098, session_type="three_session_C", cell_ids=(rest[0], SHARED_CELL, *rest[1:])),
        replace(sst, experiment=501889084, dtype="float64", scene_group="natural_scenes", dff_extra=1, seed=3),
        replace(sst, experiment=507691476, demixed=False, seed=4),
        replace(vip, experiment=503019786, cell_ids=(*twice[::-1], TWICE_SEEN_CELL), seed=5, compression="gzip"),
        replace(
            vip,
            experiment=503019999,
            cell_ids=(TWICE_SEEN_CELL, *(i + 100 for i in twice)),
            seed=6,
            events=False,
            fewer=((17, 9), (90, 8)),
        ),
        replace(scnn, experiment=500860585, pipeline="2.0", dtype="float64", ratio_dtype="float32", seed=8),
        replace(scnn, experiment=501021421, session_type="three_session_A", pipeline="0.9", events=False, seed=9),
        replace(cux, container=511507602, donor="222179", specimen=500000005, experiment=497256116, depth=275, seed=10),
    ]
    containers = [
        Container(511510736),
        Container(511498742),
        Container(511500480),
        Container(511507811, tags=("Epileptiform Events",)),
        Container(511507602, failed=True),
    ]
    return experiments, containers


def write_tree(
    root: Path | str,
    experiments: list[Options] | None = None,
    containers: list[Container] | None = None,
    *,
    foreign_rows: bool = False,
) -> Tree:
    """Write a bucket: the JSON files, NWB files and events under ``root/visual-coding-2p``.

    Parameters
    ----------
    root
        Folder that stands for the bucket.
    experiments, containers
        What there is; by default ``standard_experiments``.
    foreign_rows
        Whether the experiments' JSON also lists another project's experiment, as the warehouse's answer does.
    """
    if experiments is None or containers is None:
        experiments, containers = standard_experiments()
    by_id = {container.id: container for container in containers}
    tree = Tree(Path(root), {o.experiment: o for o in experiments}, by_id, [])
    for folder in ("ophys_experiment_data", "ophys_experiment_events"):
        (tree.prefix / folder).mkdir(parents=True, exist_ok=True)
    metrics: dict[int, dict[int, dict[str, float | None]]] = {}
    for o in experiments:
        _write(tree.nwb(o.experiment), tree.events(o.experiment) if o.events else None, o)
        if o.session_type == "three_session_B" and not o.old and o.demixed:
            metrics[o.experiment] = _published(tree.nwb(o.experiment))
    tree.cells.extend(_cell_rows(experiments, by_id, metrics))
    listed = [_experiment_row(o, by_id[o.container]) for o in experiments]
    if foreign_rows:
        listed.append(
            listed[0] | {"id": 775614751, "experiment_container_id": 1018027834, "stimulus_name": "OPHYS_1_images_A"}
        )
    files = {
        "manifest.json": _manifest(),
        "experiment_containers.json": [_container_row(c, experiments) for c in containers],
        "ophys_experiments.json": listed,
        "cell_specimens.json": tree.cells,
        "stimulus_mappings.json": [
            {"id": 1, "item": "ns_corona_small", "item_type": "T", "level": "R", "stimulus": "natural_scenes"},
            {"id": 2, "item": "ns_corona_large", "item_type": "T", "level": "R", "stimulus": "natural_scenes"},
            {"id": 3, "item": "p_ns", "item_type": "M", "level": "R", "stimulus": "natural_scenes"},
        ],
    }
    for name, content in files.items():
        (tree.prefix / name).write_text(json.dumps(content), encoding="utf-8")
    return tree


def _published(path: Path) -> dict[int, dict[str, float | None]]:
    """Metrics as ``cell_specimens.json`` has them: our transcription, filtered as section 7.6 says, by cell id."""
    names = {
        "p_ns": "ptest_ns",
        "pref_image_ns": "scene_ns",
        "time_to_peak_ns": "time_to_peak_ns",
        "image_sel_ns": "image_selectivity_ns",
        "reliability_ns": "reliability_ns",
        "run_mod_ns": "run_modulation_ns",
        "p_run_mod_ns": "p_run_ns",
        "peak_dff_ns": "peak_dff_ns",
    }
    answers = scene_truth.answers_of(scene_truth.stored(path), sweep_p=False)
    ids = [int(i) for i in answers.cell_specimen_ids]
    rows = {}
    for cell, specimen in enumerate(ids):
        row: dict[str, float | None] = {new: float(answers.peak[old][cell]) for new, old in names.items()}
        p, delay = float(answers.peak["ptest_ns"][cell]), float(answers.peak["time_to_peak_ns"][cell])
        if p >= 0.5:
            row["pref_image_ns"] = row["time_to_peak_ns"] = None
        elif delay < 0 or delay > 0.5:
            row["time_to_peak_ns"] = None
        rows[specimen] = {key: None if v is None or np.isnan(v) else v for key, v in row.items()}
    return rows


def _cell_rows(
    experiments: list[Options],
    containers: dict[int, Container],
    metrics: dict[int, dict[int, dict[str, float | None]]],
) -> list[dict[str, object]]:
    """One row per identity (no row for -1), metrics from the first session B that has the cell."""
    names = ("p", "pref_image", "time_to_peak", "image_sel", "reliability", "run_mod", "p_run_mod", "peak_dff")
    rows: dict[int, dict[str, object]] = {}
    seen: dict[int, set[str]] = {}
    for o in experiments:
        lines = SOURCES[o.driver]
        for specimen in (int(i) for i in o.specimen_ids if i > 0):
            seen.setdefault(specimen, set()).add(o.session_type[:15])
            row = rows.setdefault(
                specimen,
                {
                    "cell_specimen_id": specimen,
                    "specimen_id": o.specimen,
                    "experiment_container_id": o.container,
                    "imaging_depth": o.depth,
                    "area": o.area,
                    "donor_full_genotype": o.genotype,
                    "tld1_id": _line_id(lines[0]),
                    "tld1_name": lines[0],
                    "tld2_id": _line_id(lines[1]) if len(lines) == 3 else None,
                    "tld2_name": lines[1] if len(lines) == 3 else None,
                    "tlr1_id": _line_id(lines[-1]),
                    "tlr1_name": lines[-1],
                    "failed_experiment_container": containers[o.container].failed,
                    "all_stim": False,
                    **{f"{name}_ns": None for name in names},
                    "p_dg": None,
                    "p_sg": None,
                    "rf_area_on_lsn": None,
                    "reliability_nm1_a": None,
                    "reliability_nm1_b": None,
                    "reliability_nm1_c": None,
                    "reliability_nm2": None,
                    "reliability_nm3": None,
                    "ns_corona_small": "/thumbnails/corona_small.png",
                    "ns_corona_large": "/thumbnails/corona_large.png",
                },
            )
            found = metrics.get(o.experiment, {}).get(specimen)
            if found is not None and row["image_sel_ns"] is None:
                row.update(found)
    for specimen, row in rows.items():
        row["all_stim"] = len(seen[specimen]) == 3
    return sorted(rows.values(), key=lambda row: row["cell_specimen_id"])


def _line_id(name: str) -> int:
    return LINE_IDS.get(name, 265000000 + sum(map(ord, name)))


def _donor(o: Options, container: Container, *, conditions: bool) -> dict[str, object]:
    lines = SOURCES[o.driver]
    donor: dict[str, object] = {
        "id": o.specimen + 1000,
        "external_donor_name": o.donor,
        "full_genotype": o.genotype,
        "date_of_birth": "2016-05-11T00:00:00Z",
        "sex": o.sex[0].upper(),
        "age": {"id": 10, "name": "unknown", "days": None},
        "transgenic_lines": [
            {
                "id": _line_id(line),
                "name": line,
                "transgenic_line_type_code": "R" if line.startswith("Ai") else "D",
                "transgenic_line_type_name": "reporter" if line.startswith("Ai") else "driver",
            }
            # The reporter first, and the driver without Cre before the one with it: order is no promise.
            for line in reversed(lines)
        ],
    }
    if conditions and container.tags:
        donor["conditions"] = [{"id": 1, "name": "tissuecyte"}, *({"id": 2, "name": tag} for tag in container.tags)]
    return donor


def _container_row(container: Container, experiments: list[Options]) -> dict[str, object]:
    members = [o for o in experiments if o.container == container.id]
    o = members[0]
    return {
        "id": container.id,
        "failed": container.failed,
        "failed_facet": 1 if container.failed else 0,
        "imaging_depth": o.depth,
        "specimen_id": o.specimen,
        "targeted_structure_id": STRUCTURE_IDS[o.area],
        "isi_experiment_id": container.id + 7,
        "isi_experiment": {"id": container.id + 7},
        "targeted_structure": {"id": STRUCTURE_IDS[o.area], "acronym": o.area, "name": f"area {o.area}"},
        "specimen": {"id": o.specimen, "name": o.name, "donor": _donor(o, container, conditions=True)},
        "ophys_experiments": [
            {"id": m.experiment, "experiment_container_id": container.id, "stimulus_name": m.session_type}
            for m in members
        ],
    }


def _experiment_row(o: Options, container: Container) -> dict[str, object]:
    return {
        "id": o.experiment,
        "experiment_container_id": o.container,
        "stimulus_name": o.session_type,
        "date_of_acquisition": "2016-08-22T20:17:30Z",
        "imaging_depth": o.depth,
        "specimen_id": o.specimen,
        "targeted_structure_id": STRUCTURE_IDS[o.area],
        "name": f"20160822_{o.donor}_{o.session_type}",
        "storage_directory": f"/none/ophys_experiment_{o.experiment}/",
        "fail_eye_tracking": True,
        "targeted_structure": {"id": STRUCTURE_IDS[o.area], "acronym": o.area, "name": f"area {o.area}"},
        "specimen": {"id": o.specimen, "name": o.name, "donor": _donor(o, container, conditions=False)},
        "experiment_container": {"id": o.container, "failed": container.failed, "imaging_depth": o.depth},
        "well_known_files": [
            {
                "id": o.experiment + 90000,
                "attachable_id": o.experiment,
                "download_link": f"/api/v2/well_known_file_download/{o.experiment + 90000}",
                "well_known_file_type": {"id": 514173063, "name": "NWBOphys"},
            }
        ],
    }


def _manifest() -> dict[str, object]:
    entries: list[dict[str, str]] = [
        {"type": "manifest_version", "value": "1.3"},
        {"key": "BASEDIR", "type": "dir", "spec": "."},
    ]
    files = {
        "EXPERIMENT_CONTAINERS": "experiment_containers.json",
        "EXPERIMENTS": "ophys_experiments.json",
        "EXPERIMENT_DATA": "ophys_experiment_data/%d.nwb",
        "ANALYSIS_DATA": "ophys_experiment_analysis/%d_%s_analysis.h5",
        "EVENTS_DATA": "ophys_experiment_events/%d_events.npz",
        "CELL_SPECIMENS": "cell_specimens.json",
        "STIMULUS_MAPPINGS": "stimulus_mappings.json",
        "EYE_GAZE_DATA": "ophys_eye_gaze_mapping/%d_eyetracking_dlc_to_screen_mapping.h5",
    }
    for key, spec in files.items():
        entries.append({"key": key, "type": "file", "spec": spec, "parent_key": "BASEDIR"})
    return {"manifest": entries}
