"""Every registered metric, as scoring uses it: truth scores high, relabelled truth nothing, order does not matter."""

from __future__ import annotations

import numpy as np
import pytest

from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Site
from murine.cortex.simulated import simulate
from murine.encoding.kernels import centre_layer_grams
from murine.encoding.null_correlation import null_correlations
from murine.encoding.pls import pls_cv
from murine.encoding.ridge import ridge_loo, ridge_loo_operators
from murine.errors import MurineError
from murine.networks.capture import CapturedLayer
from murine.networks.layer_kernel import LayerKernel
from murine.scenes import synthetic_scenes
from murine.scoring.layer_scores import score_layers
from murine.scoring.metric import metrics
from murine.scoring.settings import ScoreSettings
from murine.scoring.site_benchmark import SiteBenchmark
from murine.scoring.site_preparation import make_site_data
from murine.statistics.bootstrap import bootstrap_counts
from murine.statistics.folds import kfold
from murine.statistics.permutation import permutations

SETTINGS = ScoreSettings(n_bootstraps=60, n_permutations=19, seed=1)
N = 60

#: Metrics whose score is not zero where nothing is shared: kernels of few patterns are alike by themselves.
POSITIVE = ("cka", "procrustes", "rsa-cosine")
#: Metrics with a ceiling: all but those that noise lowers in a way no reliability undoes.
CEILED = [name for name in metrics if name not in POSITIVE]


@pytest.fixture(scope="module")
def cortex():
    return simulate(synthetic_scenes(N, 40), n_neuroids=40, n_repetitions=10, reliability=0.8)


@pytest.fixture(scope="module")
def site_data(cortex):
    return make_site_data(cortex.recording, normalise="zscore", n_splits=10)


def captured(name, features):
    kernel = LayerKernel.of(np.ascontiguousarray(features, dtype=np.float64))
    return CapturedLayer(name, 0.5, (features.shape[1],), kernel, flag=kernel.flag)


@pytest.fixture(scope="module")
def layers(cortex, site_data):
    """What the neurons of SIMl respond without noise; the same with the images in another order; noise; a constant."""
    order = [cortex.recording.stimulus_ids.index(i) for i in site_data.stimulus_ids]
    truth = cortex.true_responses[cortex.recording["area"] == "SIMl"][:, order]
    truth = ((truth - truth.mean(axis=1, keepdims=True)) / truth.std(axis=1, keepdims=True)).T
    rng = np.random.default_rng(3)
    return [
        captured("noise", rng.normal(size=(N, 200))),
        captured("truth", truth),
        captured("shuffled", truth[rng.permutation(N)]),
        captured("constant", np.ones((N, 20))),
    ]


@pytest.fixture(scope="module")
def tables(layers, site_data):
    return {name: score_layers(layers, SiteBenchmark(site_data, name, settings=SETTINGS)) for name in metrics}


def rule(name):
    """How layers were chosen on all stimuli."""
    return "nested" if metrics[name].combines_layers and not metrics[name].chooses_naively else "naive"


@pytest.mark.parametrize("name", metrics)
def test_truth_is_told_from_what_is_none(tables, name):
    rows = tables[name]
    mine = rows[(rows.site == "SIMl") & (rows.split == "all")].set_index("layer")
    if metrics[name].combines_layers:
        assert list(mine.index) == ["all layers together"]
        assert mine.n_units.item() == 200 + 2 * 40
        best = mine.iloc[0]
    else:
        assert mine.score.drop("constant").idxmax() == "truth"
        assert mine.flag["constant"]
        assert np.isnan(mine.score["constant"])
        best = mine.loc["truth"]
        null = mine.loc["shuffled"]
        assert null.p_value > 0.05 or np.isnan(null.p_value)
        # Dissimilarities that are all positive have a high cosine whatever they are.
        assert null.score < (0.99 if name == "rsa-cosine" else 0.6) * best.score
        if name not in POSITIVE and name != "ridge-conwell2021":
            assert abs(null.score) < 0.2
    assert best.chosen == rule(name)
    assert best.p_value == pytest.approx(1 / 20)
    assert best.low < best.score < best.high


@pytest.mark.parametrize("name", CEILED)
def test_the_truth_reaches_its_ceiling(tables, name):
    rows = tables[name]
    best = rows[(rows.site == "SIMl") & (rows.chosen == rule(name))].iloc[0]
    assert 0.5 < best.ceiling < 1
    assert best.ceiling_low < best.ceiling < best.ceiling_high
    # Ridge learns from 59 stimuli what 40 neurons respond, so it stays below; RDMs and kernels are the neurons' own.
    assert (0.6 if "ridge" in name or "pls" in name else 0.85) < best.ceiled < 1.15


@pytest.mark.parametrize("name", POSITIVE)
def test_a_metric_without_ceiling_says_so(tables, name):
    assert tables[name].ceiling.isna().all()
    assert tables[name].ceiled.isna().all()


@pytest.mark.parametrize("name", metrics)
def test_order_of_neurons_and_stimuli_does_not_matter(cortex, layers, site_data, tables, name):
    rng = np.random.default_rng(5)
    recording = cortex.recording
    shuffled = recording.dataset.isel(
        neuroid=rng.permutation(recording.n_neuroids), stimulus=rng.permutation(recording.n_stimuli)
    )
    again = make_site_data(type(recording)(shuffled, "shuffled"), normalise="zscore", n_splits=10)
    assert again.stimulus_ids == site_data.stimulus_ids
    rows = score_layers(layers, SiteBenchmark(again, name, settings=SETTINGS))
    for column in ("score", "ceiling", "low", "high"):
        np.testing.assert_allclose(rows[column], tables[name][column], atol=2e-5, err_msg=column)


def test_ridge_is_the_mean_over_neurons_of_r_with_left_out_predictions(cortex, layers, site_data, tables):
    """Of which, but for the published form, chance is taken."""
    order = [cortex.recording.stimulus_ids.index(i) for i in site_data.stimulus_ids]
    kernel = centre_layer_grams([layers[1].kernel])[0]
    chance = null_correlations(ridge_loo_operators(kernel[None], relative=True))[0]
    for name, relative in (("ridge", True), ("ridge-conwell2021", False)):
        rows = tables[name]
        for site in ("SIMp", "SIMl"):
            responses = cortex.recording.mean()[cortex.recording["area"] == site][:, order]
            predictions = ridge_loo(kernel, responses, relative=relative)
            r = [np.corrcoef(a, b)[0, 1] for a, b in zip(predictions, responses, strict=True)]
            mine = rows[(rows.site == site) & (rows.split == "all") & (rows.layer == "truth")]
            expected = (np.mean(r) - chance) / (1 - chance) if relative else np.mean(r)
            assert mine.score.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["ridge", "ridge-conwell2021", "pls-10"])
def test_plain_scores_and_their_chance_level_stand_in_the_rows(site_data, layers, tables, name):
    """Plain: r of whole predictions. Chance: its mean over relabelled stimuli."""
    metric, population = metrics[name], site_data.population
    stack = metric.of_layers([layer.kernel for layer in layers[:2]], site_data)
    grams = centre_layer_grams([layer.kernel for layer in layers[:2]])
    rows = tables[name]
    for s, site in enumerate(site_data.sites):
        responses = population.means[population.members[s]]
        for layer, gram in zip(layers[:2], grams, strict=True):
            row = rows[(rows.site == site.name) & (rows.split == "all") & (rows.layer == layer.name)].iloc[0]
            if name == "pls-10":
                predictions = pls_cv(gram, responses, kfold(N, 6, 0), [10])[0]
            else:
                predictions = ridge_loo(gram, responses)
            r = [np.corrcoef(a, b)[0, 1] for a, b in zip(predictions, responses, strict=True)]
            assert row.plain == pytest.approx(np.mean(r), abs=1e-5)
    chosen = rows[rows.chosen != ""]
    assert chosen.chance.notna().all()
    assert rows[rows.chosen == ""].chance.isna().all()
    relabellings = permutations(N, 120, 7)
    site = metric.of_sites(site_data)[[0]]
    moved = [metric.plain(stack, type(site)(site.responses[:, order], site.members))[:, 0] for order in relabellings]
    expected = metric.chance(stack, site, permutations(N, 60, 1))[:, 0]
    spread = np.std(moved, axis=0) * np.sqrt(1 / 120 + (1 / 50 if name == "pls-10" else 0))
    np.testing.assert_array_less(np.abs(np.mean(moved, axis=0) - expected), 4 * spread + 0.005)


def test_other_metrics_have_no_plain_score(tables):
    for name in ("rsa-pearson", "cka-debiased"):
        assert tables[name][["plain", "chance"]].isna().all(axis=None)


def test_relabelled_neurons_are_scored_as_relabelled(site_data, layers):
    metric = metrics["ridge"]
    stack = metric.of_layers([layer.kernel for layer in layers[:3]], site_data)
    sites = metric.of_sites(site_data)
    relabellings = permutations(N, 3, 0)
    draws = metric.permute(stack, sites, relabellings)
    assert draws.shape == (3, 3, 3)
    for draw, relabelling in zip(draws, relabellings, strict=True):
        moved = type(sites)(sites.responses[:, relabelling], sites.members)
        np.testing.assert_allclose(draw, metric.score(stack, moved), atol=1e-5)
    one = metric.permute(stack[[1]], sites[[2]], relabellings)
    np.testing.assert_allclose(one[:, 0, 0], draws[:, 1, 2], atol=1e-5)


@pytest.mark.parametrize("name", metrics)
def test_a_sample_with_every_stimulus_once_has_the_score(site_data, layers, name):
    metric = metrics[name]
    stack = metric.of_layers([layer.kernel for layer in layers[:3]], site_data)
    sites = metric.of_sites(site_data)
    once = np.ones_like(bootstrap_counts(N, 2, 0))
    np.testing.assert_allclose(metric.resample(stack, sites, once)[0], metric.score(stack, sites), atol=1e-4)


def test_matrices_have_no_single_neurons(site_data, layers):
    rdms = NeuralRDMs(
        site_data.rdms,
        tuple(Site.of({"area": site.name}) for site in site_data.sites),
        site_data.stimulus_ids,
        np.full(3, 0.9),
        np.full(3, 0.01),
        "matrices",
    )
    given = make_site_data(rdms)
    for name in ("ridge", "ridge-conwell2021"):
        with pytest.raises(MurineError, match="single neurons cannot be predicted"):
            SiteBenchmark(given, name, settings=SETTINGS)
    rows = score_layers(layers, SiteBenchmark(given, "cka-debiased", settings=SETTINGS))
    assert rows.ceiling.isna().all()  # reliabilities of RDMs are none of kernels
    assert rows[rows.layer == "truth"].score.notna().all()


def test_the_published_protocol_takes_the_best_layer_of_every_neuron(cortex, layers, site_data, tables):
    rows = tables["ridge-conwell2021-per-neuron"]
    grams = centre_layer_grams([layer.kernel for layer in layers[:3]])
    assert set(rows.layer) == {"all layers together"}
    assert set(rows.chosen) == {"naive"}
    for s, site in enumerate(site_data.sites):
        responses = site_data.population.means[site_data.population.members[s]]
        r = [
            [np.corrcoef(a, b)[0, 1] for a, b in zip(ridge_loo(gram, responses), responses, strict=True)]
            for gram in grams
        ]
        row = rows[rows.site == site.name].iloc[0]
        assert row.score == pytest.approx(np.max(r, axis=0).mean(), abs=1e-5)
        assert row.plain == row.score
        assert row.low < row.score < row.high
        # The best of several layers is above zero by chance, more so than one.
        assert row.chance > tables["ridge-conwell2021"].query("site == @site.name").chance.max()
