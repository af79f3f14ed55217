"""Few stimuli, few repetitions, layers and neurons with nothing in them: refused, or flagged, never a silent number."""

from __future__ import annotations

import numpy as np
import pytest

from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.networks.capture import CapturedLayer
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.layer_scores import score_layers
from murine.scoring.metric import metrics
from murine.scoring.settings import ScoreSettings
from murine.scoring.site_benchmark import SiteBenchmark
from murine.scoring.site_preparation import make_site_data
from murine.statistics.folds import kfold

SETTINGS = ScoreSettings(n_bootstraps=10, n_permutations=3)


def recording(trials, areas=None):
    n_neuroids, n_stimuli, _ = trials.shape
    labels = {"neuroid_id": [f"n{i}" for i in range(n_neuroids)], "area": areas or ["V1"] * n_neuroids}
    return Recording.from_arrays(trials, labels, {"stimulus_id": [f"s{i:03d}" for i in range(n_stimuli)]}, name="mouse")


def layer(name, x):
    kernel = LayerKernel.of(np.ascontiguousarray(x))
    return CapturedLayer(name, 0.5, (x.shape[1],), kernel, flag=kernel.flag)


def layers(truth, rng):
    n = len(truth)
    return [
        layer("truth", truth),
        layer("one unit", rng.normal(size=(n, 1))),
        layer("two units", rng.normal(size=(n, 2))),
        layer("constant", np.ones((n, 5))),
        layer("partly constant", np.hstack([np.ones((n, 5)), rng.normal(size=(n, 5))])),
    ]


@pytest.mark.parametrize("name", metrics)
@pytest.mark.parametrize(("n_stimuli", "n_repetitions", "signal"), [(3, 4, 1.0), (5, 4, 1.0), (25, 2, 0.0)])
def test_every_row_has_a_score_or_a_reason(name, n_stimuli, n_repetitions, signal):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(20, n_stimuli, 1))
    data = recording(signal * truth + rng.normal(size=(20, n_stimuli, n_repetitions)))
    needed = max(metrics[name].min_stimuli, 7 if name == "rsa-reweighted" else 0)
    if n_stimuli < needed:
        with pytest.raises(MurineError, match=rf"{n_stimuli} stimuli (are too few for '{name}'|cannot be cross-valid)"):
            score_layers(
                layers(truth[:, :, 0].T, rng), SiteBenchmark(make_site_data(data, n_splits=3), name, settings=SETTINGS)
            )
        return
    rows = score_layers(
        layers(truth[:, :, 0].T, rng), SiteBenchmark(make_site_data(data, n_splits=3), name, settings=SETTINGS)
    )
    assert (rows.score.notna() | (rows.flag != "")).all()
    assert (rows.ceiling.isna() | (rows.ceiling > 0)).all()  # one of zero is none
    assert (rows.ceiled.notna() <= rows.ceiling.notna()).all()
    if not metrics[name].combines_layers:
        assert set(rows[rows.layer == "constant"].flag) == {"constant within images"}
    assert (rows.chosen != "").any()


def test_neurons_and_stimuli_without_responses_are_reported():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(20, 25, 1))
    trials = truth + rng.normal(size=(20, 25, 4))
    trials[3, 7] = np.nan
    trials[5] = 2.0
    site_data = make_site_data(recording(trials), n_splits=3)
    assert site_data.left_out == {"missing responses": ("n3",), "constant responses": ("n5",)}
    for name in ("rsa-pearson", "cka-debiased", "ridge"):
        rows = score_layers([layer("truth", truth[:, :, 0].T)], SiteBenchmark(site_data, name, settings=SETTINGS))
        assert set(rows.n_neuroids) == {18}
        assert rows.score.notna().all()
    trials[:, 4] = np.nan
    with pytest.raises(MurineError, match="no neuron of 'mouse' can be used"):
        make_site_data(recording(trials), n_splits=3)


QUICK = ScoreSettings(n_bootstraps=4, n_permutations=2)
TWO = ["LM"] * 8 + ["V1"] * 8
N_STIMULI = 40
HALF, OTHER_HALF = kfold(N_STIMULI, 2, SETTINGS.seed)


def counts(case):
    """Spike counts of two sites: V1 always the same, LM as the case says."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 9, size=(16, N_STIMULI, 1))
    trials = rng.poisson(truth, (16, N_STIMULI, 6)).astype(np.float64)
    if case == "silent on half of the stimuli":
        trials[:8, HALF] = 0
    elif case == "silent but for two stimuli":
        trials[:8, 2:] = 0
    elif case == "one neuron silent on half of the stimuli":
        trials[3, OTHER_HALF] = 0
    elif case == "few spikes":
        trials[:8] = 0
        trials[np.arange(8), rng.integers(N_STIMULI, size=8), 0] = 1
    elif case == "silent":
        trials[:8] = 0
    elif case == "single trials":
        trials[:8, :, 1:] = np.nan
    return trials


CASES = (
    "silent on half of the stimuli",
    "silent but for two stimuli",
    "one neuron silent on half of the stimuli",
    "few spikes",
    "silent",
    "single trials",
)


def scored(data, name, settings=QUICK):
    rng = np.random.default_rng(7)
    own = [layer(f"layer {k}", rng.normal(size=(N_STIMULI, 50))) for k in range(2)]
    return score_layers(own, SiteBenchmark(make_site_data(data, n_splits=3), name, settings=settings))


def assert_same(found, expected):
    assert len(found) == len(expected)
    for column in ("score", "low", "high", "ceiling", "ceiled", "ceiled_low", "ceiled_high", "p_value"):
        np.testing.assert_allclose(found[column], expected[column], atol=2e-5, err_msg=column)


@pytest.mark.parametrize("name", [name for name in metrics if name != "pls-25"])  # as pls-10
@pytest.mark.parametrize("case", CASES)
def test_a_site_that_cannot_be_scored_is_in_the_rows_and_the_other_keeps_its_scores(name, case):
    found = scored(recording(counts(case), TWO), name)
    alone = scored(recording(counts(case)[8:], TWO[8:]), name)
    assert_same(found[found.site == "V1"], alone)
    lost = found[found.site == "LM"]
    assert len(lost[lost.split == "all"]) == len(alone[alone.split == "all"])  # every layer
    assert (lost.score.notna() | (lost.flag != "")).all()
    nested = (lost.split == "held out").any() or not (alone.split == "held out").any()
    told = (lost.site_flag != "").all()
    assert nested or told
    assert lost.ceiled.isna().all() or case != "single trials"
    if case == "silent":
        assert set(lost.flag) == set(lost.site_flag) == {"no usable neuron"}


@pytest.mark.parametrize("name", [name for name in metrics if name != "pls-25"])
def test_single_repetitions_have_raw_scores(name):
    settings = ScoreSettings(n_bootstraps=4, n_permutations=2, over="neurons", n_subject_draws=4)
    trials = counts("")
    found = scored(recording(trials[:, :, :1], TWO), name, settings)
    twice = scored(recording(np.repeat(trials[:, :, :1], 2, axis=2), TWO), name, settings)
    np.testing.assert_allclose(found.score, twice.score, atol=1e-6)
    np.testing.assert_allclose(found.low, twice.low, atol=2e-5)
    assert found[["ceiling", "ceiling_low", "ceiled", "ceiled_low"]].isna().all(axis=None)
    chosen = found[found.chosen != ""]
    if not metrics[name].combines_layers:  # a mixture of few layers may be empty in a draw
        assert chosen.low_both.notna().all()
    assert chosen.ceiled_low_both.isna().all()


@pytest.mark.parametrize("name", ["rsa-pearson", "cka-debiased", "procrustes", "ridge", "pls-10"])
@pytest.mark.parametrize("exponent", [-100, 100])
def test_units_of_responses_do_not_matter(name, exponent):
    """Powers of two, which change no digit: amperes, or counts of photons, are no reason for other scores."""
    assert_same(
        scored(recording(counts("") * 2.0**exponent, TWO), name),
        scored(recording(counts(""), TWO), name),
    )
