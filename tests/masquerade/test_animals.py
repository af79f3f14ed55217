"""Arrays of animals: what is compared, what never is, and recordings that cannot be used."""

from __future__ import annotations

import logging

import many_mice
import numpy as np
import pytest

from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.io.array_cache import ArrayCache
from murine.masquerade.animals import load_animals, shared_noise
from murine.masquerade.placing import Yardsticks


@pytest.fixture(scope="module")
def recording():
    return many_mice.dataset().responses


@pytest.fixture(scope="module")
def arrays(recording):
    return load_animals(recording)


def test_there_is_an_array_for_each_animal_and_area(arrays):
    assert len(arrays.areas) == 3 * many_mice.N_MICE
    assert arrays.testable_areas == ("SIMam", "SIMl", "SIMp")
    assert {kernel.n_units for kernel in arrays.kernels[0]} == {60}
    assert [len(kernels[0].kernel) for kernels in arrays.kernels] == [100, 50, 50]


def test_arrays_of_one_animal_are_never_compared(arrays):
    between = arrays.between()
    names = np.array(arrays.animals)
    np.testing.assert_array_equal(np.isnan(between), names[:, None] == names)


def test_order_of_neurons_and_stimuli_does_not_count(recording, arrays):
    stimuli, neurons = many_mice.orders(recording.n_stimuli), many_mice.orders(recording.n_neuroids, 1)
    other = load_animals(Recording(recording.dataset.isel(stimulus=stimuli, neuroid=neurons), "other"))
    assert (other.areas, other.animals, other.stimulus_ids) == (arrays.areas, arrays.animals, arrays.stimulus_ids)
    np.testing.assert_allclose(other.between(), arrays.between(), rtol=1e-9)


def test_kernels_are_kept_by_content(recording, arrays, tmp_path, monkeypatch):
    cache = ArrayCache(tmp_path)
    first = load_animals(recording, kept=cache)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    monkeypatch.setattr("murine.masquerade.animals.noisy_kernel", None)  # nothing is computed again
    again = load_animals(recording, kept=cache)
    np.testing.assert_array_equal(again.between(), first.between())
    np.testing.assert_array_equal(first.between(), arrays.between())


def test_the_label_animal_comes_first(recording):
    names = [f"{i % 6}" for i in range(recording.n_neuroids)]
    arrays = load_animals(recording.labelled({"animal": names}))
    assert (arrays.label, len(set(arrays.animals))) == ("animal", 6)


def test_missing_trials_of_an_animal_are_left_out(recording, arrays):
    responses = recording.responses.copy()
    mine = recording["donor"] == "mouse 0"
    padded = np.concatenate([responses, np.full((*responses.shape[:2], 2), np.nan, np.float32)], axis=2)
    padded[mine, :, -2:] = responses[mine, :, :2]  # another number of repetitions
    padded[mine, :, :2] = np.nan
    coords = {key: recording[key] for key in ("neuroid_id", "area", "donor")}
    found = load_animals(Recording.from_arrays(padded, coords, {"stimulus_id": recording["stimulus_id"]}))
    kernels = zip(found.kernels[0], arrays.kernels[0], strict=True)
    assert all(np.allclose(one.kernel, two.kernel, atol=1e-6) for one, two in kernels)


def test_few_units_are_left_out_and_told(recording, caplog):
    few = np.flatnonzero((recording["donor"] != "mouse 3") | (np.arange(recording.n_neuroids) % 5 == 0))
    chosen = Recording(recording.dataset.isel(neuroid=few), "few")
    with caplog.at_level(logging.WARNING):
        arrays = load_animals(chosen)
    assert "mouse 3" not in arrays.animals
    assert "12 units, fewer than 20" in caplog.text
    with pytest.raises(MurineError, match="no area of 'few' has 5 animals"):
        load_animals(chosen, min_units=100)


def test_an_animal_without_signal_is_left_out(recording, caplog):
    responses = recording.responses.copy()
    mine = (recording["donor"] == "mouse 2") & (recording["area"] == "SIMp")
    for seed in range(20):
        responses[mine] = np.random.default_rng(seed).normal(size=responses[mine].shape)
        dataset = recording.dataset.assign(responses=(("neuroid", "stimulus", "repetition"), responses))
        arrays = load_animals(Recording(dataset, "noise"))
        if "SIMp mouse 2" in arrays.left_out:
            break
    assert arrays.left_out["SIMp mouse 2"] == "its units share less than noise"
    assert np.isfinite(arrays.between()[~arrays.same_animal]).all()


def test_one_animal_twice_is_refused(recording):
    """The same trials under two names; and the same units with other noise, as a copy of mean responses would have."""
    double = recording["donor"].astype(object)
    twice = recording.dataset.isel(neuroid=np.flatnonzero(recording["donor"] == "mouse 1"))
    ids = [f"again {i}" for i in range(twice.sizes["neuroid"])]
    responses = np.concatenate([recording.responses, Recording(twice, "x").responses])
    neuroid = {
        "neuroid_id": [*recording["neuroid_id"], *ids],
        "area": [*recording["area"], *twice["area"].values],
        "donor": [*double, *["mouse 1b"] * len(ids)],
    }
    with pytest.raises(MurineError, match=r"mouse 1' and 'SIM.* mouse 1b' vary together .*\(correlation 1\.00\)"):
        load_animals(Recording.from_arrays(responses, neuroid, {"stimulus_id": recording["stimulus_id"]}))
    order = np.random.default_rng(0).permutation(responses.shape[2])
    noisy = np.concatenate([recording.responses, responses[recording.n_neuroids :][:, :, order]])
    arrays = load_animals(Recording.from_arrays(noisy, neuroid, {"stimulus_id": recording["stimulus_id"]}))
    with pytest.raises(MurineError, match=r"similarity of 'mouse 1' and 'mouse 1b' is \d\.\d\d.*is there twice"):
        Yardsticks.of(arrays)


def test_units_of_one_animal_vary_together_and_those_of_two_do_not(recording):
    rng = np.random.default_rng(0)
    common = rng.normal(size=(2, 1, 40, 20))
    arrays = [0.3 * common[i] + rng.normal(size=(30, 40, 20)) for i in (0, 0, 1)]
    arrays[1][:, :, -3:] = np.nan
    arrays[2][4] = 1.0  # a silent unit
    noise = shared_noise(arrays)
    assert noise[0, 1] > 0.5
    assert abs(noise[:2, 2]).max() < 0.15
    np.testing.assert_allclose(noise.diagonal(), 1)


def without(recording, *, coordinates=(), repetitions=None):
    dataset = recording.dataset.drop_vars(list(coordinates))
    return Recording(dataset if repetitions is None else dataset.isel(repetition=slice(repetitions)), "data")


def test_recordings_that_cannot_be_used_are_refused_in_a_sentence(recording):
    with pytest.raises(MurineError, match="no neuron of 'data' tells its animal"):
        load_animals(without(recording, coordinates=["donor"]))
    with pytest.raises(MurineError, match="'data' has one repetition"):
        load_animals(without(recording, repetitions=1))
    with pytest.raises(MurineError, match=r"no area .*SIMam: 4"):
        load_animals(many_mice.relabelled(4).responses)
    with pytest.raises(MurineError, match="has 6 stimuli"):
        load_animals(Recording(recording.dataset.isel(stimulus=slice(6)), "short"))
