"""Recordings: labels at the door, and means that are numpy's."""

from __future__ import annotations

import os
import time

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from murine.cortex.joining import join
from murine.cortex.recording import Recording
from murine.cortex.reliability import split_half
from murine.errors import MurineError
from murine.io import isolation
from murine.io.masked_arrays import unmasked

N, S, R = 12, 7, 5
NEUROID = {
    "neuroid_id": [f"n{i}" for i in range(N)],
    "area": ["V1"] * 5 + ["LM"] * 6 + [""],
    "layer": ["4", "4", "5", "5", "", "4", "4", "4", "5", "5", "2/3", "4"],
    "depth": np.linspace(0, 1, N),
}
STIMULUS = {"stimulus_id": [f"s{i}" for i in range(S)], "group": list("aaabbbb")}


def trials():
    values = np.random.default_rng(0).normal(5, 1, (N, S, R))
    values[0, 0, 0] = values[3, 2, 1:3] = np.nan
    return values


@pytest.fixture
def recording():
    return Recording.from_arrays(trials(), NEUROID, STIMULUS, name="mouse")


def test_labels_stay_with_their_rows(recording):
    assert (recording.n_neuroids, recording.n_stimuli, recording.n_repetitions) == (N, S, R)
    assert recording.responses.dtype == np.float32
    np.testing.assert_array_equal(recording.responses, trials().astype(np.float32))
    for key, values in {**NEUROID, **STIMULUS}.items():
        np.testing.assert_array_equal(recording[key], values)
    assert recording.stimulus_ids == tuple(STIMULUS["stimulus_id"])
    assert "12 neuroids x 7 stimuli x 5 repetitions" in repr(recording)
    with pytest.raises(MurineError, match="no coordinate 'areas'; did you mean area"):
        recording["areas"]


def test_missing_text_is_empty_and_numbers_are_ids():
    columns = {
        "neuroid_id": np.array([7, 8, 9]),
        "sex": pd.Series(["M", np.nan, "F"]),
        "cre_line": np.array(["wt", None, float("nan")], dtype=object),
        "depth": [0.5, np.nan, 1.0],
    }
    recording = Recording.from_arrays(np.zeros((3, 1, 2)), columns, {"stimulus_id": [1]})
    assert recording["neuroid_id"].tolist() == ["7", "8", "9"]
    assert recording["sex"].tolist() == ["M", "", "F"]
    assert recording["cre_line"].tolist() == ["wt", "", ""]
    assert np.isnan(recording["depth"][1])
    assert recording["area"].tolist() == [""] * 3


def test_the_order_of_dimensions_does_not_matter(recording):
    turned = Recording(recording.dataset.transpose("repetition", "stimulus", "neuroid"), "turned")
    np.testing.assert_array_equal(turned.responses, recording.responses)
    assert turned.digest == recording.digest


def test_means_are_numpys_nanmean(recording):
    exact = trials().astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(recording.mean(), np.nanmean(exact, axis=2), rtol=1e-14)
    odd, even = recording.odd_even()
    np.testing.assert_allclose(odd, np.nanmean(exact[:, :, [0, 2, 4]], axis=2), rtol=1e-14)
    np.testing.assert_allclose(even, np.nanmean(exact[:, :, [1, 3]], axis=2), rtol=1e-14)
    np.testing.assert_allclose(recording.mean([4, 1]), np.nanmean(exact[:, :, [1, 4]], axis=2), rtol=1e-14)
    assert recording.mean().dtype == np.float64


def test_infinite_trials_are_missing_and_no_trial_is_nan():
    values = np.array([[[1, np.inf, 3], [np.nan, -np.inf, np.nan]]])
    recording = Recording.from_arrays(values, {"neuroid_id": ["a"]}, {"stimulus_id": ["x", "y"]})
    np.testing.assert_array_equal(recording.mean(), [[2, np.nan]])
    one = Recording.from_arrays(values[..., :1], {"neuroid_id": ["a"]}, {"stimulus_id": ["x", "y"]})
    with pytest.raises(MurineError, match="has 1 repetition"):
        one.odd_even()


def test_select_by_labels(recording):
    exact = trials().astype(np.float32)
    chosen = recording.select(area="LM", layer=["4", "5"], stimuli=["s3", "s0"])
    np.testing.assert_array_equal(chosen.responses, exact[5:10][:, [3, 0]])
    assert chosen["neuroid_id"].tolist() == ["n5", "n6", "n7", "n8", "n9"]
    assert chosen["group"].tolist() == ["b", "a"]
    assert recording.select().digest == recording.digest
    with pytest.raises(MurineError, match=r"no neuron of 'mouse' has layer '6'.*Values: .*2/3, 4, 5"):
        recording.select(layer=["4", "6"])
    with pytest.raises(MurineError, match="'group' is no coordinate of the neurons"):
        recording.select(group="a")
    with pytest.raises(MurineError, match="no responses to s9"):
        recording.select(stimuli=["s1", "s9"])
    with pytest.raises(MurineError, match="no neuron of 'mouse' meets"):
        recording.select(area="V1", layer="2/3")


@pytest.mark.parametrize("depth", [175, 175.0, "175", "175.0", [175, 0.5], np.float32(175)])
def test_select_by_a_number_however_it_is_written(depth):
    depths = np.array([175.0, 0.5, np.nan, 175.0])
    recording = Recording.from_arrays(
        np.zeros((4, 1, 2)), {"neuroid_id": range(4), "depth": depths}, {"stimulus_id": [1]}
    )
    chosen = recording.select(depth=depth)["neuroid_id"].tolist()
    assert chosen == (["0", "1", "3"] if isinstance(depth, list) else ["0", "3"])
    with pytest.raises(MurineError, match=r"has depth '9'.*Values: 0\.5, 175, nan"):
        recording.select(depth=9)


def test_select_by_reliability():
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(30, 20, 1))
    noise = np.linspace(0.1, 5, 30)[:, None, None] * rng.normal(size=(30, 20, 8))
    columns = {"neuroid_id": range(30)}
    recording = Recording.from_arrays(signal + noise, columns, {"stimulus_id": range(20)})
    reliability = split_half(recording.responses)
    assert 3 < (reliability >= 0.6).sum() < 27
    chosen = recording.select(min_reliability=0.6)
    assert chosen["neuroid_id"].tolist() == [str(i) for i in np.flatnonzero(reliability >= 0.6)]
    given = np.where(np.arange(30) % 3 == 0, 0.7, np.nan)  # one that came with the data is believed
    recording = Recording.from_arrays(signal + noise, {**columns, "reliability": given}, {"stimulus_id": range(20)})
    assert recording.select(min_reliability=0.6)["neuroid_id"].tolist() == [str(i) for i in range(0, 30, 3)]
    with pytest.raises(MurineError, match=r"no neuron .* meets .*0\.9"):
        recording.select(min_reliability=0.9)


def test_sites_are_groups_of_labelled_neurons(recording):
    by_area = {site.name: rows.tolist() for site, rows in recording.sites("area").items()}
    assert by_area == {"LM": [5, 6, 7, 8, 9, 10], "V1": [0, 1, 2, 3, 4]}
    by_both = {site.name: rows.tolist() for site, rows in recording.sites("area", "layer").items()}
    assert by_both == {"LM 4": [5, 6, 7], "LM 5": [8, 9], "V1 4": [0, 1], "V1 5": [2, 3]}
    one = recording.sites("area", "layer", min_neuroids=1)
    assert [site.name for site in one] == ["LM 2/3", "LM 4", "LM 5", "V1 4", "V1 5"]
    assert next(iter(one)).labels == {"area": "LM", "layer": "2/3"}
    with pytest.raises(MurineError, match="no group of at least 7 neurons by area"):
        recording.sites(min_neuroids=7)
    with pytest.raises(MurineError, match="no coordinate 'ares'"):
        recording.sites("ares")


def test_unusable_neurons_are_left_out_and_named(caplog):
    values = trials()
    values[2, 4] = np.nan  # no trial of one stimulus
    values[5] = np.inf
    values[7] = 3.0
    values[9, :, :] = 0.1  # not exact in binary
    values[9, 2, 1:] = np.nan
    recording = Recording.from_arrays(values, NEUROID, STIMULUS, name="mouse")
    usable, left_out = recording.usable()
    assert left_out == {"missing responses": ("n2", "n5"), "constant responses": ("n7", "n9")}
    assert usable["neuroid_id"].tolist() == [f"n{i}" for i in (0, 1, 3, 4, 6, 8, 10, 11)]
    np.testing.assert_array_equal(usable.responses, recording.responses[[0, 1, 3, 4, 6, 8, 10, 11]])
    assert "2 neurons left out for constant responses: n7, n9" in caplog.text
    nothing = Recording.from_arrays(np.ones((2, 3, 2)), {"neuroid_id": [0, 1]}, {"stimulus_id": range(3)})
    with pytest.raises(MurineError, match=r"no neuron .* can be used: 2 with constant responses"):
        nothing.usable()


def test_digest_does_not_depend_on_order(recording):
    rng = np.random.default_rng(2)
    mixed = Recording(recording.dataset.isel(neuroid=rng.permutation(N), stimulus=rng.permutation(S)), "other name")
    assert mixed.stimulus_ids != recording.stimulus_ids
    assert mixed.digest == recording.digest


def test_digest_depends_on_responses_ids_and_labels(recording):
    digests = {recording.digest}

    def add(responses=None, neuroid=None, stimulus=None):
        arguments = (trials() if responses is None else responses), {**NEUROID, **(neuroid or {})}
        digests.add(Recording.from_arrays(*arguments, {**STIMULUS, **(stimulus or {})}).digest)

    add()
    assert len(digests) == 1
    other = trials()
    other[4, 3, 2] += 1e-3
    add(other)
    add(trials()[:, :, ::-1])  # the order of repetitions makes the odd and even ones
    add(neuroid={"neuroid_id": [f"m{i}" for i in range(N)]})
    add(neuroid={"area": ["V1"] * 6 + ["LM"] * 5 + [""]})
    add(neuroid={"layer": ["5", "4", *NEUROID["layer"][2:]]})  # sites may be made of any label
    add(stimulus={"stimulus_id": [f"t{i}" for i in range(S)]})
    swapped = NEUROID["neuroid_id"].copy()
    swapped[0], swapped[1] = "n1", "n0"
    add(neuroid={"neuroid_id": swapped})
    assert len(digests) == 8


def test_files_keep_everything(tmp_path, recording):
    recording.write(tmp_path / "mouse.nc")
    read = Recording.read(tmp_path / "mouse.nc")
    np.testing.assert_array_equal(read.responses, recording.responses)
    assert (read.digest, read.name) == (recording.digest, "mouse")
    for key in (*NEUROID, *STIMULUS):
        np.testing.assert_array_equal(read[key], recording[key])
    assert read.sites("area", "layer").keys() == recording.sites("area", "layer").keys()
    assert [f.name for f in tmp_path.iterdir()] == ["mouse.nc"]


def test_broken_files_are_one_clear_error(tmp_path, recording):
    file = tmp_path / "mouse.nc"
    recording.write(file)
    whole = file.read_bytes()
    for size in np.linspace(0, len(whole) - 1, 12).astype(int):
        file.write_bytes(whole[:size])
        with pytest.raises(MurineError, match=r"mouse.nc' is no readable NetCDF file"):
            Recording.read(file)
    with pytest.raises(MurineError, match="there is no file"):
        Recording.read(tmp_path / "other.nc")
    xr.Dataset({"rates": ("x", [1.0])}).to_netcdf(file, engine="h5netcdf")
    with pytest.raises(MurineError, match="needs a variable 'responses'"):
        Recording.read(file)


def test_damage_inside_the_responses_is_one_clear_error(tmp_path):
    rng = np.random.default_rng(3)
    recording = Recording.from_arrays(
        rng.normal(size=(40, 40, 8)), {"neuroid_id": range(40)}, {"stimulus_id": range(40)}
    )
    file = tmp_path / "mouse.nc"
    recording.write(file)
    whole = file.read_bytes()
    middle = len(whole) // 2  # compressed responses are most of the file
    file.write_bytes(whole[:middle] + bytes(x ^ 0xFF for x in whole[middle : middle + 64]) + whole[middle + 64 :])
    with pytest.raises(MurineError, match=r"responses of '.*mouse\.nc' cannot be read"):
        Recording.read(file).digest  # noqa: B018


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("responses", "neuroid", "stimulus", "message"),
    [
        (np.zeros(2), {}, {}, r"shape \(2,\)"),
        (np.zeros((2, 3, 1), complex), {}, {}, "complex"),
        (np.full((2, 3, 1), "a"), {}, {}, "real numbers"),
        (None, {"neuroid_id": ["a", "a"]}, {}, "neuroid_id must be unique in 'recording'; repeated: a"),
        (None, {}, {"stimulus_id": ["x", "y", "x"]}, "stimulus_id must be unique"),
        (
            None,
            {"neuroid_id": ["a"]},
            {},
            r"'neuroid_id' .* shape \(1,\); expected \(2,\), one value per neuroid",
        ),
        (None, {"area": [["V1", "V1"]]}, {}, r"'area' .* expected \(2,\)"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(responses, neuroid, stimulus, message):
    responses = np.zeros((2, 3, 1)) if responses is None else responses
    with pytest.raises(MurineError, match=message):
        Recording.from_arrays(
            responses, {"neuroid_id": ["a", "b"], **neuroid}, {"stimulus_id": ["x", "y", "z"], **stimulus}
        )


def test_unlabelled_responses_are_refused(recording):
    values = np.zeros((2, 3, 1))
    with pytest.raises(MurineError, match="no coordinate 'neuroid_id': responses without labels"):
        Recording.from_arrays(values, {"area": ["a", "b"]}, {"stimulus_id": list("xyz")})
    with pytest.raises(MurineError, match="no coordinate 'stimulus_id'"):
        Recording.from_arrays(values, {"neuroid_id": ["a", "b"]}, {})
    with pytest.raises(MurineError, match="dimensions neuroid, stimulus, repetition"):
        Recording(recording.dataset.isel(repetition=0))


@pytest.mark.parametrize(
    "ids", [range(S), np.arange(S) * 1.0, np.array([str(i).encode() for i in range(S)]), [str(i) for i in range(S)]]
)
@pytest.mark.parametrize("way", ["arrays", "dataset", "file", "foreign file"])
def test_ids_are_text_whatever_type_they_come_in(tmp_path, recording, ids, way):
    """Numbers, whole numbers as floats (a column of pandas with a gap) and bytes (HDF5): the same recording."""
    neuroid = {**NEUROID, "neuroid_id": np.arange(N) * 1.0, "area": np.array(NEUROID["area"], "S")}
    expected = Recording.from_arrays(
        trials(), {**NEUROID, "neuroid_id": range(N)}, {**STIMULUS, "stimulus_id": range(S)}
    )
    if way == "arrays":
        made = Recording.from_arrays(trials(), neuroid, {**STIMULUS, "stimulus_id": ids})
    else:
        coords = {key: ("neuroid", np.asarray(values)) for key, values in neuroid.items()}
        coords |= {"stimulus_id": ("stimulus", np.asarray(ids)), "group": ("stimulus", STIMULUS["group"])}
        data = (("neuroid", "stimulus", "repetition"), trials().astype(np.float32))
        dataset = xr.Dataset({"responses": data}, coords=coords)
        if way == "foreign file":
            dataset.to_netcdf(tmp_path / "mine.nc", engine="h5netcdf")
            made = Recording.read(tmp_path / "mine.nc", isolated=False)
        else:
            made = Recording(dataset, "mine")
            if way == "file":
                made.write(tmp_path / "mine.nc")
                made = Recording.read(tmp_path / "mine.nc", isolated=False)
    assert made.stimulus_ids == tuple(str(i) for i in range(S))
    assert made["neuroid_id"].tolist() == [str(i) for i in range(N)]
    assert made["area"].tolist() == NEUROID["area"]
    assert made.digest == expected.digest
    assert made.select(stimuli=[b"3", 0.0]).stimulus_ids == ("3", "0")
    assert made.select(area=b"V1").n_neuroids == 5


def test_ids_that_are_missing_or_become_the_same_are_refused():
    for ids in ([0.0, 1.0, np.nan], ["a", None, "b"], np.ma.masked_array([1, 2, 3], [0, 0, 1])):
        with pytest.raises(MurineError, match=r"stimulus_id .*missing value at position"):
            Recording.from_arrays(np.zeros((1, 3, 2)), {"neuroid_id": [0]}, {"stimulus_id": ids})
    with pytest.raises(MurineError, match=r"stimulus_id must be unique .*repeated: 3"):
        Recording.from_arrays(np.zeros((1, 3, 2)), {"neuroid_id": [0]}, {"stimulus_id": [3, 3.0, "x"]})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint8, bool])
def test_masked_trials_are_missing(dtype):
    values = np.ma.masked_array(
        np.arange(24).reshape(2, 3, 4).astype(dtype), mask=np.arange(24).reshape(2, 3, 4) % 5 == 0
    )
    if dtype is bool:
        values = values.astype(np.uint8)
    recording = Recording.from_arrays(values, {"neuroid_id": [0, 1]}, {"stimulus_id": [0, 1, 2]})
    np.testing.assert_array_equal(recording.responses, np.where(values.mask, np.nan, values.data).astype(np.float32))
    np.testing.assert_allclose(recording.mean(), values.astype(float).mean(axis=2).filled(np.nan))
    whole = Recording.from_arrays(np.ma.masked_array(values.data), {"neuroid_id": [0, 1]}, {"stimulus_id": [0, 1, 2]})
    np.testing.assert_array_equal(whole.responses, values.data)


def test_masked_labels_are_missing():
    depth = np.ma.masked_array([1, 2, 3], [False, True, False])
    area = np.ma.masked_array(["V1", "V2", "V3"], [False, True, False])
    recording = Recording.from_arrays(
        np.zeros((3, 1, 2)), {"neuroid_id": [1, 2, 3], "depth": depth, "area": area}, {"stimulus_id": [1]}
    )
    np.testing.assert_array_equal(recording["depth"], [1, np.nan, 3])
    assert recording["area"].tolist() == ["V1", "", "V3"]
    again = recording.labelled({"depth": depth})
    np.testing.assert_array_equal(again["depth"], [1, np.nan, 3])
    assert unmasked(depth[[0, 2]]).dtype == depth.dtype


def test_a_stimulus_that_nobody_has_seen_is_named(caplog):
    values = trials()
    values[:, 4] = np.nan
    values[:, 2, 0] = np.nan
    recording = Recording.from_arrays(values, NEUROID, STIMULUS, name="mouse")
    assert recording.unseen() == ("s4",)
    with pytest.raises(MurineError, match=r"no valid trial of s4\)\..*without s4"):
        recording.usable()
    values = trials()
    values[[1, 2], 4] = np.inf
    values[2, 5] = np.nan
    caplog.clear()
    _, left_out = Recording.from_arrays(values, NEUROID, STIMULUS, name="mouse").usable()
    assert left_out == {"missing responses": ("n1", "n2")}
    assert "2 neurons left out for missing responses: n1, n2 (no valid trial of s4, s5)" in caplog.text


def test_recordings_with_ids_of_different_types_are_joined():
    one = Recording.from_arrays(np.zeros((1, 2, 1)), {"neuroid_id": [1]}, {"stimulus_id": [1.0, 2.0]})
    other = Recording.from_arrays(np.ones((1, 2, 1)), {"neuroid_id": [b"1"]}, {"stimulus_id": [b"2", b"1"]})
    assert join([one, other]).responses.tolist() == [[[0, 1], [0, 1]]]


def test_a_netcdf_3_file_is_called_one(tmp_path, recording):
    file = tmp_path / "old.nc"
    recording.dataset.to_netcdf(file, engine="scipy")
    with pytest.raises(MurineError, match=r"a NetCDF-3 file.*Convert it.*engine='scipy'.*engine='h5netcdf'") as refused:
        Recording.read(file)
    assert "truncated" not in str(refused.value)
    with xr.open_dataset(file, engine="scipy") as dataset:  # what the message says
        dataset.to_netcdf(tmp_path / "new.nc", engine="h5netcdf")
    assert Recording.read(tmp_path / "new.nc", isolated=False).digest == recording.digest


@pytest.mark.parametrize("which", [0, -1])
def test_a_file_that_keeps_the_library_busy_forever_is_one_error(tmp_path, monkeypatch, which):
    """Zeros among the texts, which libhdf5 goes through without end; in the first or the last of its heaps."""
    file = tmp_path / "mouse.nc"
    area = [f"area {i}" for i in range(400)]
    Recording.from_arrays(
        np.zeros((400, 2, 1)), {"neuroid_id": range(400), "area": area}, {"stimulus_id": ["a", "b"]}
    ).write(file)
    assert Recording.read(file).n_neuroids == 400
    content = bytearray(file.read_bytes())
    heaps = [i for i in range(len(content)) if content[i : i + 4] == b"GCOL"]
    assert len(heaps) > 2
    content[heaps[which] + 288 : heaps[which] + 800] = bytes(512)
    file.write_bytes(content)
    monkeypatch.setattr(isolation, "_SECONDS", 3.0)
    with pytest.raises(MurineError, match=r"mouse\.nc' could not be read: the process took longer than 3 s"):
        Recording.read(file)


def test_a_file_is_looked_through_again_only_when_it_changed(tmp_path, monkeypatch, recording):
    looked = []
    monkeypatch.setattr("murine.cortex.recording_files.read_apart", lambda file, *call: looked.append(file))
    file = tmp_path / "mouse.nc"
    recording.write(file)
    time.sleep(0.1)  # what changed just now may change again
    for _ in range(3):
        assert Recording.read(file).digest == recording.digest
    assert looked == [file]
    os.utime(file)
    Recording.read(file)
    assert looked == [file, file]


def test_links_out_of_the_file_are_refused(tmp_path, recording):
    recording.write(tmp_path / "a.nc")
    with h5py.File(tmp_path / "a.nc") as a, h5py.File(tmp_path / "b.nc", "w") as b:
        for key in a:
            b[key] = h5py.ExternalLink("a.nc", f"/{key}")
    for isolated in (True, False):
        with pytest.raises(MurineError, match="found a link to another file"):
            Recording.read(tmp_path / "b.nc", isolated=isolated)
