"""Recordings joined by the ids of their neurons: against dictionaries filled one trial at a time."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from murine.cortex.joining import join
from murine.cortex.recording import Recording
from murine.errors import MurineError

STIMULI = [f"scene_{i:03d}" for i in range(5)] + ["blank"]


def recording(ids, n_repetitions, seed=0, order=None, name="r", missing=0.1, **labels) -> Recording:
    """Responses that tell their place: random, some of them missing."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(ids), len(STIMULI), n_repetitions)).astype(np.float32)
    values[rng.random(values.shape) < missing] = np.nan
    stimuli = STIMULI if order is None else [STIMULI[i] for i in order]
    neuroid = {"neuroid_id": ids, **{key: np.resize(value, len(ids)) for key, value in labels.items()}}
    return Recording.from_arrays(values, neuroid, {"stimulus_id": stimuli}, name=name)


def plain(recordings) -> dict[tuple[str, str], list[float]]:
    """All trials of each neuron and stimulus, in the order of the recordings; a gap where a trial is missing."""
    trials: dict[tuple[str, str], list[float]] = {}
    for one in recordings:
        for i, neuron in enumerate(one["neuroid_id"]):
            for j, stimulus in enumerate(one.stimulus_ids):
                for repetition in range(one.n_repetitions):
                    trials.setdefault((str(neuron), stimulus), []).append(float(one.responses[i, j, repetition]))
    return trials


def check(joined: Recording, recordings) -> None:
    trials = plain(recordings)
    longest = max(map(len, trials.values()))
    assert joined.responses.dtype == np.float32
    assert joined.n_repetitions == longest
    assert {(n, s) for n in joined["neuroid_id"] for s in joined.stimulus_ids} == set(trials)
    for i, neuron in enumerate(joined["neuroid_id"]):
        for j, stimulus in enumerate(joined.stimulus_ids):
            expected = trials[str(neuron), stimulus]
            expected = np.array(expected + [np.nan] * (longest - len(expected)), np.float32)
            assert joined.responses[i, j].tobytes() == expected.tobytes(), (neuron, stimulus)


def test_neurons_follow_each_other():
    parts = [recording(["a", "b"], 4, 1), recording(["c"], 4, 2), recording(["d", "e", "f"], 4, 3)]
    joined = join(parts, "all")
    assert joined["neuroid_id"].tolist() == list("abcdef")
    assert joined.name == "all"
    assert joined.stimulus_ids == tuple(STIMULI)
    check(joined, parts)


def test_fewer_repetitions_and_other_orders_of_stimuli():
    parts = [
        recording(["a", "b"], 3, 1),
        recording(["c", "d"], 7, 2, order=[5, 3, 1, 0, 2, 4]),
        recording(["e"], 1, 3, order=[1, 2, 3, 4, 5, 0]),
    ]
    joined = join(parts)
    assert joined.n_repetitions == 7
    check(joined, parts)
    assert np.isnan(joined.responses[0, :, 3:]).all()
    turned = join(parts[::-1])
    assert turned.stimulus_ids == parts[2].stimulus_ids
    check(turned, parts[::-1])
    assert turned.digest != joined.digest or turned["neuroid_id"].tolist() != joined["neuroid_id"].tolist()


def test_a_neuron_that_was_seen_again_has_the_trials_of_both():
    parts = [
        recording(["x", "b"], 3, 1, area="VISp", experiment_id=[1], roi_id=[10, 11], depth=[0.5, 0.25], line="Cux2"),
        recording(["c", "x", "d"], 5, 2, area="VISl", experiment_id=[2], roi_id=[20, 21, 22], depth=0.75, line="Sst"),
        recording(["d", "x"], 2, 3, area="VISp", experiment_id=[3], roi_id=[30, 21], depth=1.0, line="Vip"),
    ]
    joined = join(parts)
    check(joined, parts)
    assert joined["neuroid_id"].tolist() == ["x", "b", "c", "d"]
    assert joined.n_repetitions == 3 + 5 + 2
    # Ids where they differ; other labels and measurements of the first time.
    assert joined["experiment_id"].tolist() == ["1+2+3", "1", "2", "2+3"]
    assert joined["roi_id"].tolist() == ["10+21", "11", "20", "22+30"]
    assert joined["area"].tolist() == ["VISp", "VISp", "VISl", "VISl"]
    assert joined["line"].tolist() == ["Cux2", "Cux2", "Sst", "Sst"]
    assert joined["depth"].tolist() == [0.5, 0.25, 0.75, 0.75]


def test_labels_that_a_recording_lacks():
    parts = [
        recording(["a", "b"], 2, 1, area="VISp", roi_id=["7", "8"], depth=[0.1, 0.2], tagged=[True, False]),
        recording(["c", "b"], 2, 2, layer=["4", "5"], count=[3, 4]),
    ]
    joined = join(parts)
    check(joined, parts)
    assert joined["area"].tolist() == ["VISp", "VISp", ""]
    assert joined["layer"].tolist() == ["", "", "4"]
    assert joined["roi_id"].tolist() == ["7", "8", ""]
    np.testing.assert_array_equal(joined["depth"], [0.1, 0.2, np.nan])
    np.testing.assert_array_equal(joined["count"], [np.nan, np.nan, 3])
    turned = join(parts[::-1])  # an id that is missing the first time is that of the second, not "+8"
    assert turned["neuroid_id"].tolist() == ["c", "b", "a"]
    assert turned["roi_id"].tolist() == ["", "8", "7"]
    assert turned["layer"].tolist() == ["4", "5", ""]


def test_numbers_and_texts_of_the_same_id_are_one_neuron():
    parts = [recording([17, 18], 2, 1), recording(["18", "19"], 2, 2)]
    joined = join(parts)
    assert joined["neuroid_id"].tolist() == ["17", "18", "19"]
    check(joined, parts)


def test_random_recordings():
    rng = np.random.default_rng(7)
    for trial in range(20):
        parts = [
            recording(
                rng.choice(30, int(rng.integers(1, 12)), replace=False).astype(str),
                int(rng.integers(1, 6)),
                seed=100 * trial + k,
                order=rng.permutation(len(STIMULI)),
                experiment_id=[k],
            )
            for k in range(int(rng.integers(1, 6)))
        ]
        joined = join(parts)
        check(joined, parts)
        seen = {
            neuron: "+".join(str(k) for k, part in enumerate(parts) if neuron in part["neuroid_id"])
            for part in parts
            for neuron in part["neuroid_id"]
        }
        assert joined["neuroid_id"].tolist() == list(seen)
        assert joined["experiment_id"].tolist() == list(seen.values())


def test_one_recording_is_itself():
    one = recording(["b", "a"], 4, 1, area="VISp", depth=[1.0, np.nan], n=[1, 2])
    joined = join([one])
    assert joined.digest == one.digest
    for key in ("neuroid_id", "area", "depth", "n"):
        np.testing.assert_array_equal(joined[key], one[key])


def test_labels_of_the_stimuli_are_kept():
    values = np.zeros((1, 2, 1))
    parts = [
        Recording.from_arrays(values, {"neuroid_id": [k]}, {"stimulus_id": ["s", "t"], "group": ["g", "h"]})
        for k in range(2)
    ]
    assert join(parts)["group"].tolist() == ["g", "h"]


@pytest.mark.filterwarnings("error")
def test_a_recording_without_neurons_adds_none():
    parts = [recording(["a"], 2, 1, depth=[0.5]), recording(["b"], 3, 2, depth=[0.5])]
    nobody = Recording(parts[1].dataset.isel(neuroid=[]), "nobody")
    joined = join([parts[0], nobody])
    assert joined["neuroid_id"].tolist() == ["a"]
    check(joined, parts[:1])


def test_other_stimuli_cannot_be_joined():
    parts = [recording(["a"], 2, 1, name="one"), recording(["b"], 2, 2, name="two")]
    fewer = Recording(parts[1].dataset.isel(stimulus=slice(0, 4)), "fewer")
    with pytest.raises(MurineError, match="'fewer' and 'one' cannot be joined: only one of them has blank, scene_004"):
        join([parts[0], fewer])
    with pytest.raises(MurineError, match="no recordings to join"):
        join([])


def test_files_are_joined_written_and_read_back_lazily(tmp_path):
    parts = [
        recording([f"{k}-{i}" for i in range(40)] + ["shared"], 3 + k, k, experiment_id=[k], depth=[0.1 * k], missing=0)
        for k in range(3)
    ]
    for k, part in enumerate(parts):
        part.write(tmp_path / f"{k}.nc")
    opened = [Recording.read(tmp_path / f"{k}.nc") for k in range(3)]
    joined = join(opened)
    check(joined, parts)
    assert joined.digest == join(parts).digest
    joined.write(tmp_path / "all.nc")
    with h5py.File(tmp_path / "all.nc") as file:
        assert file["responses"].chunks[0] < joined.n_neuroids  # by blocks of neurons
        assert file["responses"].compression == "gzip"
    read = Recording.read(tmp_path / "all.nc")
    assert not read.dataset["responses"]._in_memory
    some = read.select(experiment_id="1")
    assert not read.dataset["responses"]._in_memory
    assert some["neuroid_id"].tolist() == [f"1-{i}" for i in range(40)]
    np.testing.assert_array_equal(some.responses, joined.responses[41 : 41 + 40])
    assert not read.dataset["responses"]._in_memory
    assert read.digest == joined.digest
    assert read["experiment_id"].tolist() == joined["experiment_id"].tolist()


@pytest.mark.usefixtures("unchecked")
def test_labels_replace_and_add(tmp_path):
    one = recording(["a", "b"], 2, 1, area="VISp", depth=[0.5, 0.25])
    other = one.labelled({"area": ["VISl", ""], "cell_class": np.array(["excitatory", "unknown"])}, "named")
    assert (other.name, one.name) == ("named", "r")
    assert other["area"].tolist() == ["VISl", ""]
    assert other["cell_class"].tolist() == ["excitatory", "unknown"]
    assert other["depth"].tolist() == [0.5, 0.25]
    assert one["area"].tolist() == ["VISp", "VISp"]
    assert "cell_class" not in one.dataset.coords
    np.testing.assert_array_equal(other.responses, one.responses)
    other.write(tmp_path / "a.nc")
    assert Recording.read(tmp_path / "a.nc").digest == other.digest
    for wrong in (["VISp"], [["VISp"], ["VISl"]], "VISp"):
        with pytest.raises(MurineError, match=r"'area' for 'r' has shape .*expected \(2,\), one value per neuron"):
            one.labelled({"area": wrong})
