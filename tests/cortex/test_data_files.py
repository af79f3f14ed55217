"""Files of responses of every kind: one recording, read from any of them, and one message for what is none."""

from __future__ import annotations

import gzip
import pickle
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from nwb_files import Spikes, add_presentations, add_units, empty, save, shown

from murine.cortex import data_files
from murine.cortex.array_files import read_array
from murine.cortex.data_files import kind_of, read_responses, read_together
from murine.cortex.file_names import files_read, is_data_file
from murine.cortex.joining import join
from murine.cortex.loading import load_responses
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.interchange.assembly import write

pytestmark = pytest.mark.usefixtures("unchecked")

NEURONS = {"neuroid_id": ["7", "8", "n9"], "area": ["VISp", "VISl", "VISp"]}
STIMULI = [f"im{i}" for i in range(5)]


def trials():
    values = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    values[1, 2, 3] = np.nan
    return values


@pytest.fixture
def recording():
    return Recording.from_arrays(trials(), NEURONS, STIMULI, name="mine")


def trial_table(recording):
    table = recording.dataset["responses"].to_dataframe().reset_index()
    columns = ["neuroid_id", "stimulus_id", "repetition", "responses", "area"]
    names = {"neuroid_id": "neuroid", "stimulus_id": "stimulus", "responses": "response"}
    return table[columns].rename(columns=names)


def write_all(recording: Recording, folder: Path) -> list[str]:
    """Write the recording in every kind of file that holds single trials."""
    recording.write(folder / "recording.nc")
    write(recording, folder / "assembly.nc")
    recording.dataset["responses"].rename("rates").to_netcdf(folder / "grid.nc", engine="h5netcdf")
    table = trial_table(recording)
    table.to_csv(folder / "trials.csv", index=False)
    table.to_parquet(folder / "trials.parquet")
    np.save(folder / "array.npy", recording.responses)
    (folder / "array_stimuli.txt").write_text("\n".join(STIMULI) + "\n")
    pd.DataFrame(NEURONS).to_csv(folder / "array_neurons.csv", index=False)
    np.savez(
        folder / "arrays.npz",
        responses=recording.responses,
        stimulus_ids=STIMULI,
        neuroid_ids=NEURONS["neuroid_id"],
        label_area=NEURONS["area"],
    )
    return ["recording.nc", "assembly.nc", "grid.nc", "trials.csv", "trials.parquet", "array.npy", "arrays.npz"]


def test_every_kind_of_file_holds_the_same_recording(recording, tmp_path):
    for name in write_all(recording, tmp_path):
        found = read_responses(tmp_path / name)
        assert found.digest == recording.digest, name
        np.testing.assert_array_equal(found.responses, recording.responses)
        assert found["area"].tolist() == NEURONS["area"]
        assert load_responses(str(tmp_path / name)).digest == recording.digest


def test_the_content_tells_the_kind_not_the_ending(recording, tmp_path):
    write_all(recording, tmp_path)
    for name, other in (
        ("trials.parquet", "x.csv"),
        ("arrays.npz", "x.nc"),
        ("grid.nc", "x.h5"),
        ("array.npy", "y.nc"),
    ):
        shutil.copy(tmp_path / name, tmp_path / other)
        assert kind_of(tmp_path / other) == kind_of(tmp_path / name)


def test_nwb_and_rsatoolbox(tmp_path, recording):
    nwb = empty()
    add_presentations(nwb, shown())
    add_units(nwb, Spikes.drawn())
    file = save(nwb, tmp_path / "units.nwb")
    assert read_responses(file).digest == Recording.from_nwb(file).digest
    early = read_responses(file, window=(0.0, 0.1), stimulus_table="images_presentations")
    assert early.digest == Recording.from_nwb(file, window=(0.0, 0.1)).digest
    with h5py.File(tmp_path / "lab.h5", "w") as opened:  # as rsatoolbox saves a Dataset
        rows = np.nan_to_num(recording.responses).reshape(3, -1).T
        opened["measurements"] = rows.astype(float)
        opened["obs_descriptors/image"] = np.repeat(STIMULI, 4).astype("S")
        opened["channel_descriptors/neuroid_id"] = np.array(NEURONS["neuroid_id"], "S")
    found = read_responses(tmp_path / "lab.h5", stimulus="image")
    np.testing.assert_array_equal(found.responses, np.nan_to_num(recording.responses))


def test_matrices(tmp_path):
    matrices = np.ones((2, 4, 4)) - np.eye(4)
    np.savez(tmp_path / "rdms.npz", matrices=matrices, sites=["V1", "LM"], stimulus_ids=list("abcd"))
    found = read_responses(tmp_path / "rdms.npz")
    assert isinstance(found, NeuralRDMs)
    np.testing.assert_array_equal(found.matrices, matrices)


def test_what_is_a_file_and_what_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("allen").touch()
    for name in ("mine.nc", "MINE.CSV", "a/b", "x.nwb"):
        assert is_data_file(name)
    for name in ("allen", "allen-2p", "mine", "mine.mat"):
        assert not is_data_file(name)
    np.save("a.npy", np.ones(2))
    Path("a_stimuli.csv").touch()
    assert files_read("a.npy") == [Path("a.npy"), Path("a_stimuli.csv")]
    assert files_read("a.nc") == [Path("a.nc")]


# ------------------------------------------------------------------------------------------------- refused


def pickled(path):
    path.write_bytes(pickle.dumps({"a": 1}))


def workbook(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")


def group(path):
    with h5py.File(path, "w") as file:
        file["spikes/times"] = np.ones(3)


UNKNOWN = {
    "a.nc": (lambda path: path.touch(), "it is empty"),
    "a.csv": (lambda path: path.touch(), "it is empty"),
    "a.mat": (lambda path: path.write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 99), "MATLAB file before version 7.3"),
    "b.mat": (group, r"it is an HDF5 file with spikes\. .*`Recording.from_arrays` takes arrays that you read yourself"),
    "a.pkl": (pickled, "looks like a pickle, which may run anything and is never loaded"),
    "a.xlsx": (workbook, "is an Office document. Save the sheet with the trials as .csv"),
    "a.csv.gz": (lambda path: path.write_bytes(gzip.compress(b"a,b\n")), "is packed with gzip. Unpack it first"),
    "a.txt": (lambda path: path.write_text("neuroid\tstimulus\n"), "looks like text that begins 'neuroid stimulus'"),
    "a.bin": (lambda path: path.write_bytes(bytes(range(20))), "begins with the bytes 00 01 02 03 04 05 06 07"),
    "folder": (lambda path: path.mkdir(), "is a folder; expected a file of responses"),
    "b.nwb": (lambda path: (path.mkdir(), (path / ".zgroup").touch()), "Folders of Zarr are not read"),
    "nothing": (lambda path: None, "expected a file of responses"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_files_of_no_kind_say_what_they_look_like(tmp_path, name):
    make, message = UNKNOWN[name]
    make(tmp_path / name)
    with pytest.raises(MurineError, match=message) as raised:
        read_responses(tmp_path / name)
    assert data_files.ACCEPTED in str(raised.value)


def test_truncated_files_are_one_clear_error(recording, tmp_path):
    for name in write_all(recording, tmp_path):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2 + 1])
        with pytest.raises(MurineError, match=name):
            read_responses(tmp_path / name)


def test_options_of_another_kind_are_refused(recording, tmp_path):
    write_all(recording, tmp_path)
    with pytest.raises(
        MurineError, match=r"window does not apply to .*trials.csv', which is a table of trials; it takes"
    ):
        read_responses(tmp_path / "trials.csv", window=(0, 1))
    with pytest.raises(MurineError, match="which is a recording of murine; it takes no options"):
        read_responses(tmp_path / "recording.nc", stimulus="image", neuroid=None)


def npy(tmp_path, array=None, ids=STIMULI, neurons=None):
    np.save(tmp_path / "a.npy", trials() if array is None else array)
    if ids is not None:
        (tmp_path / "ids.txt").write_text("\n".join(ids))
    if neurons is not None:
        (tmp_path / "neurons.csv").write_text(neurons)
    options = {"stimulus_ids": tmp_path / "ids.txt"} if ids is not None else {}
    return read_array(tmp_path / "a.npy", **options, **({"neurons": tmp_path / "neurons.csv"} if neurons else {}))


def test_arrays_with_labels_from_elsewhere(tmp_path):
    found = npy(tmp_path, neurons="neuroid_id,area,depth_um\n007,V1,1.5\n8,V1,2\n9,LM,\n")
    assert found["neuroid_id"].tolist() == ["007", "8", "9"]
    assert found["area"].tolist() == ["V1", "V1", "LM"]
    np.testing.assert_array_equal(found["depth_um"], [1.5, 2, np.nan])
    np.testing.assert_array_equal(found.responses, trials())
    means = npy(tmp_path, trials().mean(axis=2))
    assert (means.n_repetitions, means["neuroid_id"].tolist()) == (1, ["0", "1", "2"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"ids": None},
            r"came without stimulus ids, .* into '.*a_stimuli.txt', or .*stimulus_ids=FILE \(--stimulus-ids",
        ),
        ({"ids": STIMULI[:4]}, r"has 4 stimulus ids; axis 1 of .*a.npy', of shape \(3, 5, 4\), has 5"),
        ({"array": trials()[:, :, 0].T}, "has 3.*seems to be transposed: the first axis is that of the neurons"),
        ({"ids": ["a", "", "c", "d", "e"]}, "has no id in line 2"),
        ({"ids": ["a", "a", "c", "d", "e"]}, "stimulus_id must be unique in 'a'; repeated: a"),
        ({"neurons": "id,area\n1,V1\n"}, "neurons.csv' has no column neuroid_id; it has id, area"),
        ({"neurons": "neuroid_id\n1\n"}, "has 1 neuroid ids; axis 0 of"),
        ({"neurons": "neuroid_id,area\n1,V1\n,V1\n3,V1\n"}, "have a missing value at position 1"),
        ({"array": np.ones(3)}, r"holds an array of shape \(3,\); expected \(n_neuroids, n_stimuli\)"),
        ({"array": np.full((3, 5), "x")}, "expected real numbers"),
        (
            {"array": np.array([[None] * 5] * 3)},
            "it holds pickled objects, which may run anything and are never loaded",
        ),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, given, message):
    with pytest.raises(MurineError, match=message):
        npy(tmp_path, **given)


def test_archives_of_arrays_that_do_not_fit(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, responses=trials())
    with pytest.raises(MurineError, match="has no array stimulus_ids; it has responses"):
        read_responses(file)
    np.savez(file, responses=trials(), stimulus_ids=np.array([None] * 5))
    with pytest.raises(MurineError, match=r"no readable npz file .*pickled objects, which are never loaded"):
        read_responses(file)
    np.savez(file, responses=trials(), stimulus_ids=[1.0, 2, np.nan, 3, 4])
    with pytest.raises(MurineError, match="have a missing value at position 2"):
        read_responses(file)
    np.savez(file, rates=trials())
    with pytest.raises(MurineError, match="has no array matrices, sites, stimulus_ids; it has rates"):
        read_responses(file)


# -------------------------------------------------------------------------------------------- several files


def test_several_files_are_joined(tmp_path, recording):
    later = Recording.from_arrays(trials()[:, ::-1] + 1, NEURONS, STIMULI[::-1], name="later")
    files = [tmp_path / "day1.nc", tmp_path / "day2.csv"]
    recording.write(files[0])
    trial_table(later).to_csv(files[1], index=False)
    with pytest.raises(
        MurineError, match=r"3 neurons have the same id in several files: 7, 8, n9. .*--shared-ids same"
    ):
        read_together(files)
    same = read_together(files, shared_ids="same", name="both")
    assert same.digest == join([recording, later]).digest
    assert (same.n_neuroids, same.n_repetitions, same.name) == (3, 8, "both")
    different = read_together(files, shared_ids="different")
    assert different["neuroid_id"].tolist() == ["day1/7", "day1/8", "day1/n9", "day2/7", "day2/8", "day2/n9"]
    np.testing.assert_array_equal(different.responses[3:], later.select(stimuli=STIMULI).responses)
    with pytest.raises(MurineError, match="files with one name cannot tell their neurons apart: day1, day1"):
        read_together([files[0], files[0]], shared_ids="different")
    with pytest.raises(MurineError, match="shared_ids is 'all'"):
        read_together(files, shared_ids="all")
    np.savez(tmp_path / "rdms.npz", matrices=np.zeros((1, 2, 2)), sites=["V1"], stimulus_ids=["a", "b"])
    with pytest.raises(MurineError, match="only recordings of single trials can be joined"):
        read_together([files[0], tmp_path / "rdms.npz"])
