"""Small files laid out as those of Visual Coding Neuropixels: a session (NWB 2), the project's tables, scene templates.

Written with h5py alone after the printed contents of the real file of session 715093703 (DANDI 000021) and the NWB 2
schema, so that a reader is tested against something that does not share its code. What is in a file is a `Session`: a
plain description, from which tests work out what must be read.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from PIL import Image

N_SCENES = 118
PERIOD = 0.2502  # presentations follow each other without a gap, a little longer than 15 frames of 60 Hz
PROBES = {810755797: "probeA", 810755799: "probeB", 810755801: "probeC"}
WINDOW = (0.0, 0.25)


@dataclass
class Session:
    """What a session file holds; all tables in the order of the file."""

    session_id: int = 715093703
    specimen_id: int = 699733581
    session_type: str = "brain_observatory_1.1"
    channels: pd.DataFrame = field(default_factory=pd.DataFrame)
    units: pd.DataFrame = field(default_factory=pd.DataFrame)
    spikes: list[np.ndarray] = field(default_factory=list)
    presentations: pd.DataFrame = field(default_factory=pd.DataFrame)
    invalid: list[tuple[float, float, list[str]]] = field(default_factory=list)
    subject: dict[str, str] = field(default_factory=dict)


def small_session(seed: int = 0, session_id: int = 715093703, n_repetitions: int = 4) -> Session:
    """A session of three probes; units, presentations and invalid intervals of every kind that a reader must tell."""
    rng = np.random.default_rng(seed)
    session = Session(session_id, specimen_id=session_id - 15360122)
    session.subject = {
        "age": "P118D",
        "genotype": "Sst-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt",
        "sex": "M",
        "species": "Mus musculus",
        "subject_id": str(session_id - 15360130),
    }
    session.channels = _channels()
    session.presentations = _presentations(rng, n_repetitions)
    session.units, drives = _units(session.channels, session_id)
    session.spikes = [_train(rng, session.presentations, drive) for drive in drives]
    _plant_borders(session)
    _plant_invalid(session)
    return session


def _channels() -> pd.DataFrame:
    """Six channels a probe: (area, valid) from the tip up."""
    kinds = {
        "probeA": (("CA1", True), ("VISp", True), ("VISp", True), ("VISp", False), ("None", True), ("", True)),
        "probeB": (("LGd-sh", True), ("CA3", True), ("VISl", True), ("VISl", True), ("VISl", True), ("None", True)),
        "probeC": (("VISam", True), ("VISam", True), ("VISmma", True), ("grey", True), ("None", True), ("None", False)),
    }
    rows = []
    for n_probe, (probe_id, name) in enumerate(PROBES.items()):
        for i, (location, valid) in enumerate(kinds[name]):
            rows.append(
                {
                    "id": 850126378 + 1000 * n_probe + 2 * i,
                    "probe_id": probe_id,
                    "group_name": name,
                    "local_index": 64 * i,
                    "location": location,
                    "valid_data": valid,
                    "probe_horizontal_position": (43, 11, 59, 27)[i % 4],
                    "probe_vertical_position": 20 + 640 * i,
                    "x": 8000.0 + 10 * i if location not in ("", "None") else np.nan,
                    "y": 2000.0 - 300 * i if location not in ("", "None") else np.nan,
                    "z": 9000.0 if location not in ("", "None") else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _presentations(rng: np.random.Generator, n_repetitions: int) -> pd.DataFrame:
    """Shuffled scenes and blanks in two blocks; scene 5 once less, two rows without a frame, rows out of time order."""
    frames = np.repeat(np.arange(-1.0, N_SCENES), n_repetitions)
    frames = rng.permutation(np.delete(frames, np.flatnonzero(frames == 5)[0]))
    frames = np.insert(frames, [7, 300], np.nan)
    starts = 5908.51 + PERIOD * np.arange(len(frames))
    second = np.arange(len(frames)) >= len(frames) // 2
    starts[second] += 60.0
    table = pd.DataFrame(
        {
            "start_time": starts,
            "stop_time": starts + PERIOD,
            "frame": frames,
            "stimulus_block": np.where(second, 9.0, 7.0),
            "stimulus_index": np.full(len(frames), 5.0),
            "stimulus_name": "natural_scenes",
        }
    )
    return table.iloc[rng.permutation(len(table))].reset_index(drop=True)


#: Kinds of units: (probe, channel of it, metrics other than usual, how it fires).
KINDS: tuple[tuple[str, int, dict[str, object], str], ...] = (
    ("probeA", 1, {}, "tuned"),
    ("probeA", 1, {}, "tuned"),
    ("probeA", 2, {"isi_violations": 0.5}, "tuned"),  # not below
    ("probeA", 2, {"isi_violations": np.nextafter(0.5, 0), "amplitude_cutoff": np.nextafter(0.1, 0)}, "tuned"),
    ("probeA", 2, {"isi_violations": 3.2}, "tuned"),
    ("probeA", 2, {"isi_violations": np.nan}, "tuned"),
    ("probeA", 2, {"amplitude_cutoff": 0.1}, "tuned"),
    ("probeA", 2, {"amplitude_cutoff": np.nan}, "tuned"),
    ("probeA", 2, {"presence_ratio": 0.9}, "tuned"),
    ("probeA", 2, {"presence_ratio": 0.93}, "tuned"),  # between the two published limits
    ("probeA", 2, {"presence_ratio": np.nan}, "tuned"),
    ("probeA", 2, {"quality": "noise"}, "tuned"),
    ("probeA", 2, {}, "silent"),
    ("probeA", 2, {}, "borders"),
    ("probeA", 3, {}, "tuned"),  # its channel is not valid
    ("probeA", 4, {}, "tuned"),  # outside the brain, both spellings
    ("probeA", 5, {}, "tuned"),
    ("probeA", 0, {}, "noisy"),  # hippocampus
    ("probeB", 0, {}, "noisy"),  # thalamus
    ("probeB", 2, {"snr": np.nan}, "tuned"),
    ("probeB", 3, {}, "tuned"),
    ("probeB", 4, {}, "noisy"),
    ("probeC", 0, {}, "tuned"),
    ("probeC", 1, {"firing_rate": np.nan}, "tuned"),
    ("probeC", 2, {}, "tuned"),
)


def _units(channels: pd.DataFrame, session_id: int) -> tuple[pd.DataFrame, list[str]]:
    rows = []
    for i, (probe, channel, odd, _) in enumerate(KINDS):
        usual = {
            "id": 950000000 + session_id % 1_000_000 * 100 + (7 * i) % 31,  # in no order
            "peak_channel_id": int(channels.id[channels.group_name == probe].iloc[channel]),
            "local_index": 3 * i,
            "cluster_id": 3 * i + 1,
            "quality": "good",
            "isi_violations": 0.01 * i,
            "amplitude_cutoff": 0.004 * (i % 20),
            "presence_ratio": 0.99,
            "snr": 2.0 + 0.1 * i,
            "firing_rate": 5.0 + i,
            "PT_ratio": 0.5,
            "amplitude": 120.0,
            "cumulative_drift": 300.0,
            "d_prime": 4.2,
            "isolation_distance": 50.0,
            "l_ratio": 0.01,
            "max_drift": 30.0,
            "nn_hit_rate": 0.9,
            "nn_miss_rate": 0.02,
            "recovery_slope": -0.1,
            "repolarization_slope": 0.6,
            "silhouette_score": 0.1,
            "spread": 60.0,
            "velocity_above": 0.2,
            "velocity_below": np.nan,
            "waveform_duration": 0.3 + 0.02 * i,
            "waveform_halfwidth": 0.15,
        }
        rows.append({**usual, **odd})
    return pd.DataFrame(rows), [kind[-1] for kind in KINDS]


def _train(rng: np.random.Generator, presentations: pd.DataFrame, drive: str) -> np.ndarray:
    """Poisson spikes on the clock of the probes (30 kHz); a tuned unit's rate depends on the scene."""
    if drive in ("silent", "borders"):
        return np.zeros(0)
    rates = rng.gamma(1.0, 12.0, N_SCENES + 1) if drive == "tuned" else np.full(N_SCENES + 1, 8.0)
    first, last = presentations.start_time.min() - 5, presentations.stop_time.max() + 5
    spikes = [rng.uniform(first, last, rng.poisson(2.0 * (last - first)))]
    for start, frame in zip(presentations.start_time, presentations.frame, strict=True):
        if not np.isnan(frame):
            spikes.append(start + rng.uniform(0, PERIOD, rng.poisson(rates[int(frame)] * PERIOD)))
    return np.sort(np.round(np.concatenate(spikes) * 30000) / 30000)


def _plant_borders(session: Session) -> None:
    """One unit fires exactly on the limits of some windows, next to them, and twice at one time."""
    unit = [kind[-1] for kind in KINDS].index("borders")
    onsets = np.sort(session.presentations.start_time.to_numpy())
    first, last = onsets[10:20] + WINDOW[0], onsets[30:40] + WINDOW[1]
    beside = [np.nextafter(onsets[50:55], 0), np.nextafter(onsets[60:65] + WINDOW[1], 0), onsets[70:72], onsets[70:72]]
    session.spikes[unit] = np.sort(np.concatenate([first, last, *beside]))


def _plant_invalid(session: Session) -> None:
    """Intervals of one probe, of all, of the stimulus, of a probe that is not there, and of the light pulses only.

    The probe's begins in the middle of a presentation and ends in another; all probes' is one instant, the offset of a
    presentation, which is (nearly) the onset of the next.
    """
    table = session.presentations.sort_values("start_time", ignore_index=True)
    own, times = str(session.session_id), table.start_time
    session.invalid = [
        (times[100] + 0.1, times[120] + 0.1, ["EcephysProbe", "810755799", "probeB"]),
        (table.stop_time[200], table.stop_time[200], ["EcephysSession", own, "all_probes"]),
        (times[250] + 0.05, times[253] + 0.1, ["EcephysSession", own, "stimulus"]),
        (times[0], times[40], ["EcephysSession", own, "optotagging"]),
        (times[0], times[60], ["EcephysProbe", "810755805", "probeE"]),
        (1.0, 2.0, ["EcephysProbe", "810755797", "probeA"]),
    ]


def write_session(file: Path, session: Session) -> Path:
    """Write the NWB 2 file; AllenSDK 2.16.2 reads it too."""
    with h5py.File(file, "w") as root:
        _describe(root, "NWBFile", namespace="core", nwb_version="2.2.2")
        for name in ("acquisition", "analysis", "processing", "stimulus/presentation", "stimulus/templates"):
            root.create_group(name)
        root["file_create_date"] = np.array(["2020-05-26T00:53:26.986608-07:00"], dtype=h5py.string_dtype())
        root["identifier"] = str(session.session_id)
        root["session_description"] = "Data and metadata for an Ecephys session"
        root["session_start_time"] = root["timestamps_reference_time"] = "2019-01-19T00:54:18-08:00"
        general = root.create_group("general")
        general["institution"] = "Allen Institute for Brain Science"
        general["session_id"] = str(session.session_id)
        general["stimulus"] = session.session_type
        subject = _describe(general.create_group("subject"), "EcephysSpecimen", namespace="ndx-aibs-ecephys")
        subject.attrs.update({"specimen_name": "Sst-IRES-Cre;Ai32-386129", "age_in_days": 118.0, "strain": ""})
        for key, value in session.subject.items():
            subject[key] = value
        _write_electrodes(root, session)
        _write_stimuli(root, session)
        _write_running(root, session)
        _write_units(root, session)
    return file


def _describe(group: h5py.Group, kind: str, namespace: str = "core", **attributes: object) -> h5py.Group:
    group.attrs.update({"namespace": namespace, "neurodata_type": kind, "object_id": str(uuid.uuid4()), **attributes})
    return group


def _column(table: h5py.Group, name: str, values: object, kind: str = "VectorData") -> h5py.Dataset:
    """Add a column; text has variable length, truth values are h5py's enumeration, as pynwb writes both."""
    array = np.asarray(values)
    text = array.dtype.kind in "OU"
    data = table.create_dataset(name, data=array.astype(object) if text else array, dtype=_TEXT if text else None)
    space = "hdmf-common"
    data.attrs.update({"namespace": space, "neurodata_type": kind, "object_id": str(uuid.uuid4())})
    if kind == "VectorData":
        data.attrs["description"] = "no description"
    return data


_TEXT = h5py.string_dtype()


def _ragged(table: h5py.Group, name: str, rows: list[np.ndarray] | list[list[str]]) -> None:
    values = np.concatenate([np.asarray(row) for row in rows]) if rows else np.zeros(0)
    data = _column(table, name, values)
    index = _column(table, f"{name}_index", np.cumsum([len(row) for row in rows], dtype=np.int64), "VectorIndex")
    index.attrs["target"] = data.ref


def _dynamic(
    root: h5py.Group, name: str, ids: object, columns: list[str], kind: str, space: str = "core"
) -> h5py.Group:
    table = _describe(root.create_group(name), kind, space, colnames=np.array(columns, dtype=object), description=name)
    _column(table, "id", np.asarray(ids, dtype=np.int64), "ElementIdentifiers")
    return table


def _write_electrodes(root: h5py.File, session: Session) -> None:
    for probe_id, name in PROBES.items():
        device = _describe(root.create_group(f"general/devices/{name}"), "EcephysProbe", "ndx-aibs-ecephys")
        device.attrs.update({"probe_id": probe_id, "sampling_rate": 29999.949611})
        group = root.create_group(f"general/extracellular_ephys/{name}")
        _describe(group, "EcephysElectrodeGroup", "ndx-aibs-ecephys", description="Ecephys Electrode Group")
        group.attrs.update({"probe_id": probe_id, "location": "See electrode locations", "has_lfp_data": True})
        group.attrs["lfp_sampling_rate"] = 2500.0
        group["device"] = h5py.SoftLink(f"/general/devices/{name}")
    channels = session.channels
    columns = [
        *("x", "y", "z", "imp", "location", "filtering", "group", "group_name", "probe_vertical_position"),
        *("probe_horizontal_position", "probe_id", "local_index", "valid_data"),
    ]
    table = _dynamic(
        root, "general/extracellular_ephys/electrodes", channels.id, columns, "DynamicTable", "hdmf-common"
    )
    for name in columns:
        if name == "group":
            refs = [root[f"general/extracellular_ephys/{probe}"].ref for probe in channels.group_name]
            data = table.create_dataset("group", data=np.array(refs, dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
            data.attrs.update({"namespace": "hdmf-common", "neurodata_type": "VectorData", "description": "group"})
            data.attrs["object_id"] = str(uuid.uuid4())
        elif name == "imp":
            _column(table, name, np.full(len(channels), np.nan))
        elif name == "filtering":
            _column(table, name, ["AP band: 500 Hz high-pass; LFP band: 1000 Hz low-pass"] * len(channels))
        else:
            _column(table, name, channels[name].to_numpy())


def _intervals(root: h5py.File, name: str, table: pd.DataFrame, tags: list[list[str]]) -> None:
    group = _dynamic(root, f"intervals/{name}", np.arange(len(table)), [*table.columns, "tags"], "TimeIntervals")
    for column in table:
        _column(group, column, table[column].to_numpy())
    _ragged(group, "tags", tags)


def _write_stimuli(root: h5py.File, session: Session) -> None:
    shown = session.presentations
    _intervals(root, "natural_scenes_presentations", shown, [["stimulus_time_interval"]] * len(shown))
    other = pd.DataFrame(
        {
            "start_time": [shown.start_time.min() - 30.0],
            "stop_time": [float(shown.start_time.min())],
            "stimulus_name": ["spontaneous"],
            "stimulus_index": [np.nan],
        }
    )
    _intervals(root, "spontaneous_presentations", other, [["stimulus_time_interval"]])
    if session.invalid:
        times = pd.DataFrame([interval[:2] for interval in session.invalid], columns=["start_time", "stop_time"])
        _intervals(root, "invalid_times", times, [interval[2] for interval in session.invalid])


def _write_running(root: h5py.File, session: Session) -> None:
    times = np.arange(session.presentations.start_time.min(), session.presentations.stop_time.max(), 0.5)
    module = _describe(root.create_group("processing/running"), "ProcessingModule", description="running speed data")
    for name, data in (("running_speed", np.sin(times)), ("running_speed_end_times", np.full(len(times), np.nan))):
        series = _describe(
            module.create_group(name), "TimeSeries", description="no description", comments="no comments"
        )
        series["data"] = data
        series["data"].attrs.update({"unit": "cm/s", "conversion": 1.0, "resolution": -1.0})
        series["timestamps"] = times if name == "running_speed" else times + 0.5
        series["timestamps"].attrs.update({"unit": "seconds", "interval": 1})


def _write_units(root: h5py.File, session: Session) -> None:
    units = session.units
    columns = [str(c) for c in units.columns if c != "id"]
    ragged = ["spike_times", "spike_amplitudes", "waveform_mean"]
    table = _dynamic(root, "units", units.id, [*columns, *ragged], "Units")
    for name in columns:
        _column(table, name, units[name].to_numpy())
    _ragged(table, "spike_times", session.spikes)
    _ragged(table, "spike_amplitudes", [np.full(len(spikes), 1e-4) for spikes in session.spikes])
    _ragged(table, "waveform_mean", [np.zeros((len(PROBES), 82)) for _ in session.spikes])


def write_tables(folder: Path, sessions: list[Session]) -> Path:
    """Write the four tables as AllenSDK's cache and the bucket have them; one more session has no natural scenes.

    Areas are those of the files, but the second VISl channel became VISrl: the tables are newer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(s.session_id, s.specimen_id, s.session_type, s.subject["genotype"], s.subject["sex"]) for s in sessions]
    rows.append((766640955, 744912849, "functional_connectivity", "wt", "F"))
    table = pd.DataFrame(rows, columns=["id", "specimen_id", "session_type", "genotype", "sex"])
    table = table.assign(
        date_of_acquisition="2019-01-19T00:54:18Z",
        isi_experiment_id=701138379,
        published_at="2019-10-03T00:00:00Z",
        age_in_days=118.0,
        has_nwb=True,
    )
    order = ["id", "date_of_acquisition", "isi_experiment_id", "published_at", "specimen_id", "session_type"]
    table[[*order, "age_in_days", "sex", "genotype", "has_nwb"]].to_csv(folder / "sessions.csv", index=False)
    probes, channels, units = [], [], []
    for n, session in enumerate(sessions):
        own = n * 1_000_000  # probes and channels of another session have other ids
        probes += [
            {
                "id": probe + own,
                "air_channel_index": 374,
                "ecephys_session_id": session.session_id,
                "lfp_sampling_rate": 1249.998642,
                "lfp_temporal_subsampling_factor": 2.0,
                "name": name,
                "phase": "3a",
                "sampling_rate": 29999.967418,
                "surface_channel_index": 338,
                "has_lfp_data": True,
            }
            for probe, name in PROBES.items()
        ]
        location = session.channels.location.where(~session.channels.location.isin(["", "None"]), np.nan)
        location = location.mask(session.channels.id == second_visl(session), "VISrl")
        channels.append(
            pd.DataFrame(
                {
                    "id": session.channels.id + own,
                    "ecephys_probe_id": session.channels.probe_id + own,
                    "local_index": session.channels.local_index,
                    "probe_horizontal_position": session.channels.probe_horizontal_position,
                    "probe_vertical_position": session.channels.probe_vertical_position,
                    "anterior_posterior_ccf_coordinate": session.channels.x,
                    "dorsal_ventral_ccf_coordinate": session.channels.y,
                    "left_right_ccf_coordinate": session.channels.z,
                    "ecephys_structure_id": np.where(location.isna(), np.nan, 385.0),
                    "ecephys_structure_acronym": location,
                }
            )
        )
        renamed = {"waveform_duration": "duration", "waveform_halfwidth": "halfwidth"}
        table = session.units.rename(columns=renamed).drop(columns=["peak_channel_id", "cluster_id"])
        table["ecephys_channel_id"] = session.units.peak_channel_id + own
        units.append(table)
    pd.DataFrame(probes).to_csv(folder / "probes.csv", index=False)
    pd.concat(channels).to_csv(folder / "channels.csv", index=False)
    pd.concat(units).to_csv(folder / "units.csv", index=False)
    return folder


def second_visl(session: Session) -> int:
    """The id of the channel whose area the tables have changed."""
    return int(session.channels.id[session.channels.location == "VISl"].iloc[1])


def write_templates(folder: Path, size: tuple[int, int] = (9, 12), seed: int = 0) -> np.ndarray:
    """Write ``natural_scene_<k>.tiff`` for all scenes and return them, (118, height, width)."""
    folder.mkdir(parents=True, exist_ok=True)
    scenes = np.random.default_rng(seed).integers(0, 256, (N_SCENES, *size), dtype=np.uint8)
    for k, scene in enumerate(scenes):
        Image.fromarray(scene).save(folder / f"natural_scene_{k}.tiff")
    return scenes
