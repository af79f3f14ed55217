"""Named selections against plain loops, and on real data."""

from __future__ import annotations

import functools
import logging

import numpy as np
import pytest
from test_reliability import by_loops

from murine.cortex.built_in_datasets import allen_neuropixels
from murine.cortex.recording import Recording
from murine.cortex.reliability import split_half
from murine.cortex.selection import conwell2021, selections
from murine.errors import MurineError

N_NEUROIDS = 90


def population(**coordinates):
    """Neurons of all reliabilities; p values below, at and above 0.05, and some that are not known."""
    rng = np.random.default_rng(5)
    strength = np.linspace(0, 2, N_NEUROIDS)[rng.permutation(N_NEUROIDS), None, None]
    responses = strength * rng.normal(size=(N_NEUROIDS, 13, 1)) + rng.normal(size=(N_NEUROIDS, 13, 10))
    p = np.round(rng.uniform(0, 0.1, (2, N_NEUROIDS)), 2)
    p[:, ::7] = np.nan
    neuroid = {"neuroid_id": [f"n{i}" for i in range(N_NEUROIDS)], "p_run_mod_ns": p[0], "p_ns": p[1]}
    stimuli = {"stimulus_id": [*(f"scene_{i:03d}" for i in range(12)), "blank"]}
    return Recording.from_arrays(responses, {**neuroid, **coordinates}, stimuli, name="population")


@functools.cache
def reliability_by_loops(blank):
    return by_loops(population().responses[:, : 13 if blank else 12], 20, 3)


def chosen_by_loops(recording, run_alpha, max_p_ns, min_reliability, blank):
    reliability = reliability_by_loops(blank)
    ids, found = [], []
    for i, name in enumerate(recording["neuroid_id"]):
        p_run, p_ns = recording["p_run_mod_ns"][i], recording["p_ns"][i]
        if run_alpha is not None and not (np.isnan(p_run) or p_run > run_alpha):
            continue
        if max_p_ns is not None and (np.isnan(p_ns) or p_ns >= max_p_ns):
            continue
        if reliability[i] >= min_reliability:
            ids.append(str(name))
            found.append(reliability[i])
    return ids, found


@pytest.mark.parametrize("blank", [True, False])
@pytest.mark.parametrize("max_p_ns", [None, 0.05])
@pytest.mark.parametrize("run_alpha", [None, 0.05, 0.08])
@pytest.mark.parametrize("min_reliability", [0.5, 0.75])
def test_conwell2021_keeps_what_a_plain_loop_keeps(run_alpha, max_p_ns, min_reliability, blank):
    recording = population()
    chosen = conwell2021(
        recording,
        min_reliability=min_reliability,
        run_alpha=run_alpha,
        max_p_ns=max_p_ns,
        blank=blank,
        n_splits=20,
        seed=3,
    )
    ids, reliability = chosen_by_loops(recording, run_alpha, max_p_ns, min_reliability, blank)
    assert 0 < len(ids) < N_NEUROIDS
    assert list(chosen["neuroid_id"]) == ids
    np.testing.assert_allclose(chosen["reliability"], reliability, atol=1e-12, rtol=0)
    assert chosen.stimulus_ids == recording.stimulus_ids  # blank stays


def test_the_defaults_are_those_of_the_paper():
    recording = population()
    chosen = selections["conwell2021"](recording)
    keep = ~(recording["p_run_mod_ns"] <= 0.05) & (split_half(recording.responses) >= 0.75)
    np.testing.assert_array_equal(chosen["neuroid_id"], recording["neuroid_id"][keep])
    # A later selection by reliability uses what was computed here.
    again = chosen.select(min_reliability=0.9)
    np.testing.assert_array_equal(again["neuroid_id"], chosen["neuroid_id"][chosen["reliability"] >= 0.9])


def test_the_order_of_neurons_and_stimuli_does_not_matter():
    recording = population()
    rng = np.random.default_rng(1)
    order = {"neuroid": rng.permutation(N_NEUROIDS), "stimulus": rng.permutation(13)}
    shuffled = conwell2021(Recording(recording.dataset.isel(order)))
    assert shuffled.digest == conwell2021(recording).digest


def test_the_blank_can_be_anywhere():
    recording = population()
    order = [12, *range(12)]
    moved = Recording(recording.dataset.isel(stimulus=order))
    assert moved.stimulus_ids[0] == "blank"
    chosen, right = conwell2021(moved, blank=False), conwell2021(recording, blank=False)
    np.testing.assert_array_equal(chosen["neuroid_id"], right["neuroid_id"])
    np.testing.assert_allclose(chosen["reliability"], right["reliability"], atol=1e-14, rtol=0)


def test_it_tells_what_was_kept_and_the_file_keeps_it(tmp_path, caplog):
    recording = population()
    untouched = recording.digest
    with caplog.at_level(logging.INFO, "murine"):
        chosen = conwell2021(recording, max_p_ns=0.05)
    calm = ~(recording["p_run_mod_ns"] <= 0.05)
    selective = calm & (recording["p_ns"] < 0.05)
    story = (
        f"90 neurons; of these {calm.sum()} not modulated by running (p_run_mod_ns > 0.05 or not tested); of these "
        f"{selective.sum()} selective (p_ns < 0.05); of these {chosen.n_neuroids} with a split-half reliability of at "
        "least 0.75"
    )
    assert caplog.messages == [f"population: {story}"]
    chosen.write(tmp_path / "chosen.nc")
    again = Recording.read(tmp_path / "chosen.nc")
    assert again.dataset.attrs["selection"] == f"conwell2021: {story}"
    np.testing.assert_array_equal(again["reliability"], chosen["reliability"])
    assert recording.digest == untouched
    assert "reliability" not in recording.dataset.coords


def test_neurons_without_a_reliability_are_left_out():
    recording = population()
    recording.responses[:5] = 3.0
    recording.responses[5:9, 4] = np.nan
    chosen = conwell2021(recording, min_reliability=-np.inf, run_alpha=None)
    np.testing.assert_array_equal(chosen["neuroid_id"], recording["neuroid_id"][9:])


def test_nothing_left_is_an_error_that_counts_each_step():
    message = r"90 neurons; of these \d+ not modulated .*; of these 0 with .* at least 0.999. The highest .* is 0.9\d+"
    with pytest.raises(MurineError, match=message):
        conwell2021(population(), min_reliability=0.999)
    with pytest.raises(MurineError, match=r"of these 0 not modulated by running .*; of these 0 with"):
        conwell2021(population(p_run_mod_ns=np.zeros(N_NEUROIDS)))


def test_wrong_input_is_explained():
    recording = population()
    without = Recording(recording.dataset.drop_vars(["p_run_mod_ns", "p_ns"]), "bare")
    with pytest.raises(
        MurineError, match=r"'bare' has no coordinate 'p_run_mod_ns' .*it has area, neuroid_id\. Give run_"
    ):
        conwell2021(without)
    with pytest.raises(MurineError, match=r"no coordinate 'p_ns' .*max_p_ns=None"):
        conwell2021(without, run_alpha=None, max_p_ns=0.05)
    with pytest.raises(MurineError, match=r"'p_run_mod_ns' .* expected one number per neuron"):
        conwell2021(population(p_run_mod_ns=np.full(N_NEUROIDS, "low")))
    two = Recording(recording.dataset.isel(stimulus=[3, 12]), "two")
    with pytest.raises(MurineError, match="'two' has 1 stimuli to correlate over"):
        conwell2021(two, blank=False)
    with pytest.raises(MurineError, match="unknown selection 'conwell'; did you mean conwell2021"):
        selections["conwell"]


def test_real_recordings_pass(shared_data):
    recording = allen_neuropixels(shared_data).responses
    with pytest.raises(MurineError, match="no coordinate 'p_run_mod_ns'"):
        conwell2021(recording)
    chosen = conwell2021(recording, run_alpha=None)
    assert recording.n_neuroids == 4454
    np.testing.assert_array_equal(
        chosen["neuroid_id"], recording["neuroid_id"][split_half(recording.responses) >= 0.75]
    )
    sample = np.linspace(0, chosen.n_neuroids - 1, 6).astype(int)
    right = by_loops(chosen.responses[sample], 100, 0)
    np.testing.assert_allclose(chosen["reliability"][sample], right, atol=1e-12, rtol=0)
