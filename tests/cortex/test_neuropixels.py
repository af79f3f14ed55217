"""Neuropixels sessions against a plain transcription of what is in the file; damaged files are refused."""

from __future__ import annotations

import logging
import shutil
import tracemalloc
from functools import partial

import h5py
import numpy as np
import pandas as pd
import pytest
from neuropixels_files import (
    KINDS,
    N_SCENES,
    PROBES,
    second_visl,
    small_session,
    write_session,
    write_tables,
)

from murine.cortex.allen import neuropixels
from murine.cortex.allen.neuropixels import spike_counts
from murine.cortex.allen.neuropixels_tables import VISUAL_AREAS, read_tables
from murine.cortex.built_in_datasets import allen_neuropixels
from murine.cortex.recording import Recording
from murine.cortex.reliability import split_half
from murine.errors import MurineError
from murine.networks.capture import CapturedLayer
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.layer_scores import score_layers
from murine.scoring.settings import ScoreSettings
from murine.scoring.site_benchmark import SiteBenchmark
from murine.scoring.site_preparation import make_site_data

read_session = partial(neuropixels.read_session, isolated=False)  # checked, traced and seen by caplog
IDS = (*(f"scene_{i:03d}" for i in range(N_SCENES)), "blank")
# Rows of KINDS that a reader must keep with its defaults, by hand.
USUAL = [0, 1, 3, 9, 12, 13, 19, 20, 21, 22, 23]


@pytest.fixture(scope="module")
def session():
    return small_session()


@pytest.fixture(scope="module")
def file(session, tmp_path_factory):
    return write_session(tmp_path_factory.mktemp("neuropixels") / "session_715093703.nwb", session)


@pytest.fixture(scope="module")
def recording(file):
    return read_session(file)


@pytest.fixture
def damaged(file, tmp_path):
    """A copy that may be damaged."""
    return shutil.copy(file, tmp_path / "damaged.nwb")


def rows_of(session, recording):
    """The rows of the file's table of units, in the order of the recording."""
    return [int(np.flatnonzero(session.units.id == int(i))[0]) for i in recording["neuroid_id"]]


def touched(session, probe, start, stop, window):
    """Whether a presentation counts as invalid for a probe: told by the tags that `_plant_invalid` wrote."""
    for begin, end, tags in session.invalid:
        concerned = tags[-1] in ("all_probes", "stimulus", probe)
        if concerned and begin <= max(stop, start + window[1]) and end >= min(start, start + window[0]):
            return True
    return False


def transcription(session, rows, window=(0.0, 0.25)):
    """Spike counts by plain loops: units in the rows of the file, one presentation after the other."""
    table = session.presentations.sort_values("start_time")
    channels = session.channels.set_index("id")
    n_shown = table.frame.value_counts().max()
    expected = np.full((len(rows), N_SCENES + 1, n_shown), np.nan, np.float32)
    for i, unit in enumerate(rows):
        probe = channels.group_name[session.units.peak_channel_id[unit]]
        seen = dict.fromkeys(range(-1, N_SCENES), 0)
        for start, stop, frame in zip(table.start_time, table.stop_time, table.frame, strict=True):
            if np.isnan(frame):
                continue
            repetition, seen[int(frame)] = seen[int(frame)], seen[int(frame)] + 1
            if not touched(session, probe, start, stop, window):
                spikes = session.spikes[unit]
                count = ((spikes >= start + window[0]) & (spikes < start + window[1])).sum()
                expected[i, int(frame) if frame >= 0 else N_SCENES, repetition] = count
    return expected


@pytest.mark.parametrize("window", [(0.0, 0.25), (0.05, 0.1), (-0.1, 0.0), (0.2, 0.6)])
def test_counts_are_those_of_a_plain_loop(window, session, file):
    recording = read_session(file, window=window)
    expected = transcription(session, rows_of(session, recording), window)
    assert recording.responses.dtype == np.float32
    assert recording.responses.tobytes() == expected.tobytes()
    assert set(recording["window_start_s"]) == {window[0]}
    assert set(recording["window_stop_s"]) == {window[1]}


def test_a_spike_at_the_onset_counts_and_one_at_the_end_does_not(session, recording):
    unit = [kind[-1] for kind in KINDS].index("borders")
    found = recording.responses[rows_of(session, recording).index(unit)]
    # 10 at an onset, 5 just before the end, 2 twice at an onset; 5 just before an onset are 0.2 ms after the end of
    # the window before; the 10 at an end count for nobody.
    assert np.nansum(found) == 10 + 5 + 2 * 2
    assert np.nanmax(found) == 2


def test_random_spikes_and_onsets_are_counted_like_a_plain_loop():
    rng = np.random.default_rng(1)
    for _ in range(50):
        spikes = np.sort(rng.integers(0, 40, rng.integers(0, 60)) / 4)  # many fall on the limits
        onsets = rng.integers(-4, 44, 30) / 4
        window = tuple(np.sort(rng.choice(np.arange(-8, 9) / 4, 2, replace=False)).tolist())
        expected = [sum(t + window[0] <= s < t + window[1] for s in spikes) for t in onsets]
        assert spike_counts(spikes, onsets, window).tolist() == expected


def test_adjoining_windows_share_no_spike_and_lose_none(file):
    whole, first, second = (read_session(file, window=w).responses for w in ((0.0, 0.5), (0.0, 0.25), (0.25, 0.5)))
    both = ~np.isnan(whole)  # the longer window reaches into more invalid intervals
    assert np.array_equal(whole[both], (first + second)[both])


def test_rates_are_counts_per_second(file, recording):
    rates = read_session(file, rates=True)
    assert np.array_equal(rates.responses, recording.responses * 4, equal_nan=True)


def test_units_pass_the_usual_filter(session, recording):
    assert rows_of(session, recording) == USUAL
    assert recording["area"].tolist() == [{"A": "VISp", "B": "VISl", "C": "VISam"}[KINDS[u][0][-1]] for u in USUAL]


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"isi_violations": None}, {2, 4, 5}),
        ({"isi_violations": 4.0}, {2, 4}),
        ({"amplitude_cutoff": None}, {6, 7}),
        ({"amplitude_cutoff": 0.11}, {6}),
        ({"presence_ratio": None}, {8, 10}),
        ({"presence_ratio": 0.89}, {8}),
        ({"areas": ("VISp", "VISmma")}, {24}),
        ({"areas": None}, {17, 18, 24}),
    ],
)
def test_each_limit_can_be_moved_or_lifted(options, more, session, file):
    found = set(rows_of(session, read_session(file, **options)))
    assert found - set(USUAL) == more
    assert set(USUAL) - found == (set(USUAL[-5:]) if options.get("areas") else set())


def test_the_limit_of_the_presence_ratio_that_allensdk_has(session, file):
    found = rows_of(session, read_session(file, presence_ratio=float(np.nextafter(0.95, 0))))
    assert set(USUAL) - set(found) == {9}


def test_areas_are_structures_without_their_parts(file):
    assert set(read_session(file, areas=None)["area"]) == {"VISp", "CA1", "LGd", "VISl", "VISam", "VISmma"}
    assert set(read_session(file, areas=["LGd"])["area"]) == {"LGd"}
    assert set(read_session(file, areas="LGd")["area"]) == {"LGd"}


def test_no_unit_left_says_why(file, caplog):
    with pytest.raises(MurineError, match=r"none of its 25 units is left: 1 with not good; .*2 with a place outside"):
        read_session(file, areas=("VISal",))
    with caplog.at_level(logging.INFO):
        read_session(file)
    assert "11 of 25 units kept" in caplog.text
    assert "3 with isi_violations not below 0.5" in caplog.text


def test_invalid_intervals_concern_their_probes_only(session, recording):
    shown = session.presentations.dropna(subset="frame").frame.value_counts()
    missing = np.isnan(recording.responses).sum(axis=(1, 2)) - (4 * (N_SCENES + 1) - shown.sum())
    probes = recording["probe"]
    # the stimulus was late in presentations 250 to 253, and all probes failed at the end of the 200th
    for_all = missing[probes == "probeC"][0]
    assert set(missing[probes == "probeC"]) == set(missing[probes == "probeA"]) == {for_all}
    assert 4 + 1 <= for_all <= 4 + 2
    # probe B was off from the middle of presentation 100 to that of presentation 120
    assert set(missing[probes == "probeB"]) == {for_all + 21}


def test_stimuli_and_repetitions(session, recording):
    assert recording.stimulus_ids == IDS
    assert recording.n_repetitions == 4
    assert np.isnan(recording.responses[:, 5, 3]).all()  # shown once less
    assert recording["group"].tolist().count("full resolution") == 102 - 59
    assert recording["group"][-1] == ""


def test_what_is_known_of_each_unit(session, recording):
    rows = rows_of(session, recording)
    units, channels = session.units.iloc[rows], session.channels.set_index("id")
    own = channels.loc[units.peak_channel_id]
    assert recording["neuroid_id"].tolist() == units.id.astype(str).tolist()
    for name in ("isi_violations", "amplitude_cutoff", "presence_ratio", "snr", "firing_rate", "waveform_duration"):
        assert np.array_equal(recording[name], units[name], equal_nan=True)
    assert recording["probe_id"].tolist() == own.probe_id.astype(str).tolist()
    assert {int(i): name for i, name in zip(recording["probe_id"], recording["probe"], strict=True)} == PROBES
    assert np.array_equal(recording["vertical_position_um"], own.probe_vertical_position)
    for name, column in (("anterior_posterior_um", "x"), ("dorsal_ventral_um", "y"), ("left_right_um", "z")):
        assert np.array_equal(recording[name], own[column])
    one = {name: set(recording[name]) for name in ("layer", "cell_class", "cre_line", "session_id", "donor", "sex")}
    assert one == {
        "layer": {""},
        "cell_class": {"unknown"},
        "cre_line": {"Sst-IRES-Cre"},
        "session_id": {"715093703"},
        "donor": {session.subject["subject_id"]},
        "sex": {"M"},
    }
    assert np.isnan(recording["depth"]).all()


def test_a_recording_survives_its_file(recording, tmp_path):
    recording.write(tmp_path / "recording.nc")
    again = Recording.read(tmp_path / "recording.nc")
    assert again.digest == recording.digest
    assert np.array_equal(again["depth"], recording["depth"], equal_nan=True)


def test_order_of_rows_does_not_count(session, recording, tmp_path):
    turned = small_session()
    turned.presentations = session.presentations.sort_values("start_time", ignore_index=True)
    assert read_session(write_session(tmp_path / "turned.nwb", turned)).digest == recording.digest


def test_spikes_without_time_and_out_of_order_are_mended(session, recording, tmp_path, caplog):
    old = small_session()
    for unit in (0, 20):
        broken = np.random.default_rng(unit).permutation(old.spikes[unit])
        old.spikes[unit] = np.insert(broken, [0, 5, 9], -1.0)
    found = read_session(write_session(tmp_path / "old.nwb", old))
    assert found.digest == recording.digest
    assert "spikes of 2 units were not in order or had no time" in caplog.text


def test_other_spellings_of_the_stimulus_table(damaged, recording):
    with h5py.File(damaged, "r+") as root:
        root.move("intervals/natural_scenes_presentations", "intervals/Natural Images_presentations")
        root.move("intervals/Natural Images_presentations/frame", "intervals/Natural Images_presentations/Image")
    assert read_session(damaged).digest == recording.digest


def test_columns_that_may_be_absent(damaged, recording):
    with h5py.File(damaged, "r+") as root:
        for path in ("units/snr", "general/subject/sex", "intervals/invalid_times"):
            del root[path]
    found = read_session(damaged)
    assert np.isnan(found["snr"]).all()
    assert set(found["sex"]) == {""}
    assert np.isnan(found.responses).sum() == len(USUAL)  # of scene 5 alone
    with h5py.File(damaged, "r+") as root:
        for path in ("units/quality", "general/extracellular_ephys/electrodes/valid_data"):
            del root[path]
    assert read_session(damaged).n_neuroids == len(USUAL) + 2


def test_only_the_spikes_of_one_unit_are_in_memory(tmp_path):
    many = small_session()
    many.spikes = [np.sort(np.concatenate([spikes, np.linspace(0, 5000, 200_000)])) for spikes in many.spikes]
    file = write_session(tmp_path / "many.nwb", many)
    tracemalloc.start()
    recording = read_session(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert recording.n_neuroids == len(USUAL)
    assert peak < 0.3 * sum(spikes.nbytes for spikes in many.spikes)


# ---------------------------------------------------------------------------------------------------------------------
# with the tables, the templates and the recording that is in the shared data


@pytest.fixture(scope="module")
def tables(session, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return read_tables(write_tables(folder, [session, small_session(1, session_id=719161530)]))


def test_tables_hold_what_was_written(tables, session):
    assert tables.sessions.session_type.to_dict()[766640955] == "functional_connectivity"
    assert len(tables.probes) == 6
    assert tables.units.ecephys_channel_id.isin(tables.channels.index).all()
    mine = tables.units.loc[session.units.id]
    for name in ("isi_violations", "amplitude_cutoff", "presence_ratio"):
        assert np.array_equal(mine[name], session.units[name], equal_nan=True)


def test_only_sessions_with_natural_scenes_are_picked(tables):
    assert tables.natural_scene_sessions() == [715093703, 719161530]
    assert tables.natural_scene_sessions(["VISrl", "VISpm"]) == [715093703, 719161530]
    assert tables.natural_scene_sessions(["VISpm"]) == []


def test_tables_tell_of_the_mouse_and_have_the_newer_areas(tables, session, file, recording):
    found = read_session(file, tables=tables)
    assert set(found["donor"]) == {str(session.specimen_id)}
    assert set(found["cre_line"]) == {"Sst-IRES-Cre"}
    assert found["neuroid_id"].tolist() == recording["neuroid_id"].tolist()
    assert np.array_equal(found.responses, recording.responses, equal_nan=True)
    moved = session.units.peak_channel_id.iloc[rows_of(session, found)].to_numpy() == second_visl(session)
    assert found["area"].tolist() == np.where(moved, "VISrl", recording["area"]).tolist()
    assert moved.sum() == 1


def test_a_wild_type_and_a_session_that_the_tables_lack(tables, session, file):
    sessions = tables.sessions.assign(genotype="wt", sex=np.nan)
    found = read_session(file, tables=tables._replace(sessions=sessions))
    assert set(found["cre_line"]) == {"wt"}
    assert set(found["sex"]) == {""}
    with pytest.raises(MurineError, match=r"identifier: found session '715093703'; expected one of sessions.csv"):
        read_session(file, tables=tables._replace(sessions=tables.sessions.drop(session.session_id)))


def test_other_spellings_and_orphans_in_tables(tmp_path, session, caplog):
    folder = write_tables(tmp_path, [session])
    for name, old, new in (
        ("sessions", "genotype", "full_genotype"),
        ("units", "ecephys_channel_id", "peak_channel_id"),
    ):
        table = pd.read_csv(folder / f"{name}.csv").rename(columns={old: new})
        table.to_csv(folder / f"{name}.csv", index=False)
    channels = pd.read_csv(folder / "channels.csv")
    channels.iloc[1:].to_csv(folder / "channels.csv", index=False)
    tables = read_tables(folder)
    assert set(tables.sessions.genotype) == {session.subject["genotype"], "wt"}
    assert "1 rows of units.csv have an ecephys_channel_id that channels.csv lacks" in caplog.text


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("sessions", lambda t: t.drop(columns="session_type"), "no column session_type"),
        ("sessions", lambda t: t.drop(columns="id"), "no column id"),
        ("probes", lambda t: pd.concat([t, t.iloc[:1]]), "must be whole numbers that differ; found 810755797"),
        ("channels", lambda t: t.assign(id=t.id + 0.5), "must be whole numbers that differ"),
        ("channels", lambda t: t.assign(ecephys_probe_id="probeA"), "'ecephys_probe_id' .* expected numbers"),
        ("units", lambda t: t.assign(presence_ratio="high"), "'presence_ratio' .* expected numbers"),
        ("units", lambda t: t.assign(id="x"), "'id' .* expected numbers"),
    ],
)
def test_damaged_tables_are_refused(name, change, message, tmp_path, session):
    folder = write_tables(tmp_path, [session])
    change(pd.read_csv(folder / f"{name}.csv")).to_csv(folder / f"{name}.csv", index=False)
    with pytest.raises(MurineError, match=message):
        read_tables(folder)


def test_missing_and_cut_tables_are_refused(tmp_path, session):
    folder = write_tables(tmp_path, [session])
    whole = (folder / "units.csv").read_bytes()
    (folder / "units.csv").write_bytes(whole[:-20])
    with pytest.raises(MurineError, match=r"units.csv' does not end with a line break"):
        read_tables(folder)
    (folder / "units.csv").unlink()
    with pytest.raises(MurineError, match="there is no file"):
        read_tables(folder)


def layers_for(rng, n_stimuli):
    for name, n_units in (("first", 40), ("second", 90)):
        kernel = LayerKernel.of(rng.normal(size=(n_stimuli, n_units)))
        yield CapturedLayer(name, 0.5, (n_units,), kernel, flag=kernel.flag)


@pytest.mark.parametrize("source", ["session", "shared"])
def test_same_selection_reliability_and_scoring(source, tmp_path, request):
    """The recording of a session and that in the shared data go the same way."""
    if source == "session":
        long = small_session(3, n_repetitions=12)
        recording = read_session(write_session(tmp_path / "long.nwb", long))
    else:
        recording = allen_neuropixels(request.getfixturevalue("shared_data")).responses.select(donor=["738651054"])
    scenes = list(IDS[:-1])
    chosen = recording.select(area=["VISp", "VISam"], stimuli=scenes, min_reliability=0.3)
    assert set(chosen["area"]) == {"VISp", "VISam"}
    assert chosen.stimulus_ids == IDS[:-1]
    reliability = split_half(chosen.responses)
    assert (reliability >= 0.3).all()
    site_data = make_site_data(
        chosen, normalise="zscore", n_splits=5
    )  # as they are, few neurons are silent to some scene
    settings = ScoreSettings(n_bootstraps=20, n_permutations=9)
    rows = score_layers([*layers_for(np.random.default_rng(0), N_SCENES)], SiteBenchmark(site_data, settings=settings))
    whole = rows[(rows.stimuli == "all") & (rows.split == "all")]
    assert set(whole.site) == {"VISp", "VISam"}
    assert set(whole.n_neuroids) == {int((chosen["area"] == a).sum()) for a in ("VISp", "VISam")}
    assert np.isfinite(whole[["score", "ceiling", "ceiled"]].to_numpy()).all()
    assert whole.score.abs().max() < 0.2  # noise is like no mouse


def test_layout_is_that_of_the_shared_recording(recording, shared_data):
    shared = allen_neuropixels(shared_data).responses
    about = ("neuroid_id", "area", "layer", "depth", "cre_line", "cell_class", "session_id", "donor", "sex")
    for name in about:
        mine, other = recording.dataset[name], shared.dataset[name]
        assert mine.dims == other.dims == ("neuroid",)
        assert (mine.dtype.kind == "f") == (other.dtype.kind == "f")
    assert recording.dataset["responses"].dims == shared.dataset["responses"].dims
    assert recording.dataset["responses"].dtype == shared.dataset["responses"].dtype
    assert recording.stimulus_ids[:-1] == shared.stimulus_ids
    assert recording["group"][:-1].tolist() == shared["group"].tolist()
    assert set(shared["area"]) == set(VISUAL_AREAS)
    # a neuron of either can be found by the same labels
    assert set(shared["session_id"]) >= {"715093703"}
    assert set(shared.select(session_id="715093703")["cre_line"]) == set(recording["cre_line"])


def test_the_shared_recording_and_tables_name_the_same_mice(shared_data, tables, file):
    shared = allen_neuropixels(shared_data).responses.select(session_id="715093703")
    assert set(shared["donor"]) == set(read_session(file, tables=tables)["donor"])


# ---------------------------------------------------------------------------------------------------------------------
# damage

ELECTRODES = "general/extracellular_ephys/electrodes"
SHOWN = "intervals/natural_scenes_presentations"
INVALID = "intervals/invalid_times"


def changed(path, change):
    """Replace a dataset by what a function makes of its values."""

    def damage(root):
        values = root[path][()]
        del root[path]
        root[path] = change(values)

    return damage


def first(value):
    def change(values):
        values[0] = value
        return values

    return change


def removed(path):
    return lambda root: root.pop(path)


def huge(path, dtype):
    def damage(root):
        del root[path]
        root.create_dataset(path, shape=(1 << 40,), dtype=dtype, chunks=(1024,))

    return damage


DAMAGE = {
    "limits out of order": (changed("units/spike_times_index", lambda x: x[::-1]), "units/spike_times_index"),
    "limits below zero": (changed("units/spike_times_index", lambda x: x - 10**9), "units/spike_times_index"),
    "limits beyond the end": (changed("units/spike_times_index", lambda x: x + 1), "units/spike_times_index"),
    "limits before the end": (changed("units/spike_times_index", lambda x: np.minimum(x, 9)), "spike_times_index"),
    "limits that wrap": (
        changed("units/spike_times_index", lambda x: np.r_[x[:-1].astype(np.uint64), np.uint64(2**64 - 1)]),
        "units/spike_times_index",
    ),
    "limits that are floats": (changed("units/spike_times_index", lambda x: x.astype(float)), "spike_times_index"),
    "fewer limits than units": (changed("units/spike_times_index", lambda x: x[1:]), "units/spike_times_index"),
    "NaN spikes": (
        changed("units/spike_times", lambda x: np.where(x > 6000, np.nan, x)),
        "units/spike_times: found NaN",
    ),
    "infinite spikes": (changed("units/spike_times", lambda x: np.where(x > 6000, np.inf, x)), "units/spike_times"),
    "text for spikes": (changed("units/spike_times", lambda x: np.full(len(x), b"x")), "units/spike_times"),
    "two-dimensional spikes": (changed("units/spike_times", lambda x: x[:, None]), "units/spike_times"),
    "no spikes": (removed("units/spike_times"), "units/spike_times"),
    "no limits": (removed("units/spike_times_index"), "units/spike_times_index"),
    "no units": (removed("units"), "units/id"),
    "units in a dataset": (changed("units/id", lambda _: 3), "units/id"),
    "more units than metrics": (changed("units/id", lambda x: np.append(x, 5)), "units/"),
    "a unit twice": (changed("units/id", lambda x: np.append(x[:-1], x[0])), "units/id: found ids more than once"),
    "no presence ratio": (removed("units/presence_ratio"), "units/presence_ratio"),
    "text for a metric": (changed("units/snr", lambda x: np.full(len(x), b"x")), "units/snr"),
    "a number for the quality": (changed("units/quality", lambda x: np.zeros(len(x))), "units/quality"),
    "bytes that are no text": (changed("units/quality", lambda x: np.full(len(x), b"\xff\xfe")), "units/quality"),
    "fewer peak channels": (changed("units/peak_channel_id", lambda x: x[1:]), "units/peak_channel_id"),
    "channels of nowhere": (changed("units/peak_channel_id", lambda x: -x), "25 with an unknown peak channel"),
    "a channel twice": (changed(f"{ELECTRODES}/id", lambda x: np.append(x[:-1], x[0])), f"{ELECTRODES}/id"),
    "fewer locations": (changed(f"{ELECTRODES}/location", lambda x: x[1:]), f"{ELECTRODES}/location"),
    "a group for a column": (
        lambda r: (r.pop(f"{ELECTRODES}/probe_id"), r.create_group(f"{ELECTRODES}/probe_id")),
        "a group",
    ),
    "no natural scenes": (removed(SHOWN), "natural scenes were not shown in this session"),
    "no frames": (removed(f"{SHOWN}/frame"), f"{SHOWN}/frame"),
    "only frames without a value": (changed(f"{SHOWN}/frame", lambda x: x * np.nan), "no presentation"),
    "frame 118": (changed(f"{SHOWN}/frame", first(118.0)), f"{SHOWN}/frame: found frames 118.0"),
    "frame -2": (changed(f"{SHOWN}/frame", first(-2.0)), f"{SHOWN}/frame: found frames -2.0"),
    "frame 3.5": (changed(f"{SHOWN}/frame", first(3.5)), f"{SHOWN}/frame: found frames 3.5"),
    "an infinite frame": (changed(f"{SHOWN}/frame", first(np.inf)), f"{SHOWN}/frame: found frames inf"),
    "fewer frames": (changed(f"{SHOWN}/frame", lambda x: x[1:]), f"{SHOWN}/frame"),
    "a presentation without onset": (changed(f"{SHOWN}/start_time", first(np.nan)), "have no time or end before"),
    "a presentation that ends early": (changed(f"{SHOWN}/stop_time", first(0.0)), "have no time or end before"),
    "fewer offsets": (changed(f"{SHOWN}/stop_time", lambda x: x[1:]), f"{SHOWN}/stop_time"),
    "nothing shown": (
        lambda root: [changed(f"{SHOWN}/{c}", lambda x: x[:0])(root) for c in ("frame", "start_time", "stop_time")],
        "no presentation",
    ),
    "an invalid interval without end": (changed(f"{INVALID}/stop_time", first(np.nan)), INVALID),
    "an invalid interval that ends early": (changed(f"{INVALID}/stop_time", first(0.0)), INVALID),
    "tags beyond the end": (changed(f"{INVALID}/tags_index", lambda x: x * 2), f"{INVALID}/tags_index"),
    "tags out of order": (changed(f"{INVALID}/tags_index", lambda x: x[::-1]), f"{INVALID}/tags_index"),
    "tags that are numbers": (changed(f"{INVALID}/tags", lambda x: np.arange(len(x)) * 1.0), f"{INVALID}/tags"),
    "no identifier": (removed("identifier"), "identifier"),
    "a number for the identifier": (changed("identifier", lambda _: 7), "identifier"),
    "a number for the sex": (changed("general/subject/sex", lambda _: 7), "general/subject/sex"),
    "a table of units without end": (huge("units/id", "i8"), "units/id"),
    "a table of channels without end": (huge(f"{ELECTRODES}/id", "i8"), f"{ELECTRODES}/id"),
    "presentations without end": (huge(f"{SHOWN}/start_time", "f8"), f"{SHOWN}/start_time"),
    "invalid intervals without end": (huge(f"{INVALID}/start_time", "f8"), f"{INVALID}/start_time"),
    "tags without end": (
        lambda root: (
            huge(f"{INVALID}/tags", h5py.string_dtype())(root),
            changed(f"{INVALID}/tags_index", lambda x: np.r_[x[:-1], 1 << 40])(root),
        ),
        "tags",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused_with_the_place(damage, damaged):
    change, place = DAMAGE[damage]
    with h5py.File(damaged, "r+") as root:
        change(root)
    with pytest.raises(MurineError, match=place) as refused:
        read_session(damaged)
    assert "damaged.nwb" in str(refused.value)


def test_spikes_without_end_of_a_chosen_unit(session, damaged):
    """The index gives the first unit, which is kept, more spikes than a unit can have."""
    with h5py.File(damaged, "r+") as root:
        huge("units/spike_times", "f8")(root)
        changed("units/spike_times_index", lambda x: np.full(len(x), 1 << 40))(root)
    with pytest.raises(MurineError, match=r"units/spike_times: found .* for which [\d,]+ bytes are stored"):
        read_session(damaged)


def test_no_such_file_and_no_hdf5(tmp_path, file):
    with pytest.raises(MurineError, match="there is no file"):
        read_session(tmp_path / "nothing.nwb")
    cut = tmp_path / "cut.nwb"
    cut.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(MurineError, match="no readable HDF5 file"):
        read_session(cut)


@pytest.mark.parametrize("window", [(0.25, 0.25), (0.3, 0.1), (float("nan"), 1.0), (0.0, float("inf"))])
def test_windows_that_are_none(window, file):
    with pytest.raises(MurineError, match="two times in seconds, the first before the second"):
        read_session(file, window=window)


def test_a_window_of_three_times(file, unchecked):
    with pytest.raises(MurineError, match="two times in seconds"):
        read_session(file, window=(0.0, 0.1, 0.2))
