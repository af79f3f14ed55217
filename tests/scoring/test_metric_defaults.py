"""A metric needs three methods: the rest follows from its score, and what is overridden agrees with that."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.networks.capture import CapturedLayer
from murine.networks.layer_kernel import LayerKernel
from murine.scoring import (
    Metric,
    ScoreSettings,
    SiteBenchmark,
    make_site_data,
    metric_of,
    metrics,
    score_layers,
)
from murine.statistics.bootstrap import bootstrap_counts, leave_one_out_counts
from murine.statistics.permutation import permutations

N = 36
NAMES = list(metrics)
#: Metrics whose score without a stimulus is fitted to what is left; others need layers as they are for all stimuli.
REFITTED = [name for name in NAMES if not metrics[name].of_neurons and name != "rsa-reweighted"]


class Agreement(Metric):
    """The correlation of kernels, as someone would write it who knows nothing of resampling."""

    name = "agreement"
    summary = "Pearson's r of the products of every two images."

    def of_layers(self, layers, site_data):
        return np.array([layer.gram for layer in layers])

    def of_sites(self, site_data):
        return site_data.kernels

    def score(self, layers, sites):
        rows, columns = np.triu_indices(layers.shape[1], 1)
        return np.array([[pearsonr(a[rows, columns], b[rows, columns])[0] for b in sites] for a in layers])


def world(n=N, seed=0, n_units=60, n_neurons=24, related=True):
    rng = np.random.default_rng([n, seed])
    latent, other = rng.normal(size=(2, n, 6))
    neurons = latent @ rng.normal(size=(6, n_neurons))
    responses = neurons.T[:, :, None] + rng.normal(size=(n_neurons, n, 4))
    labels = {"neuroid_id": [f"n{i:02d}" for i in range(n_neurons)], "area": ["A"] * 12 + ["B"] * (n_neurons - 12)}
    recording = Recording.from_arrays(responses, labels, {"stimulus_id": [f"s{i:03d}" for i in range(n)]}, name="world")
    base = latent if related else other
    layers = [base @ rng.normal(size=(6, n_units)) + rng.normal(size=(n, n_units)) for _ in range(3)]
    return make_site_data(recording, n_splits=2), [LayerKernel.of(x) for x in layers]


@pytest.fixture(scope="module")
def small():
    return world()


def compared(name, small):
    site_data, layers = small
    metric = metrics[name] if isinstance(name, str) else name
    return metric, metric.prepare(layers, site_data)[0], metric.of_sites(site_data)


@pytest.mark.parametrize("name", NAMES)
def test_relabelling_is_the_score_of_relabelled_sites(name, small):
    metric, layers, sites = compared(name, small)
    orders = permutations(N, 3, 1)
    np.testing.assert_allclose(
        metric.permute(layers, sites, orders), Metric.permute(metric, layers, sites, orders), atol=1e-5
    )


@pytest.mark.parametrize("name", REFITTED)
def test_leaving_out_a_stimulus_is_the_score_of_the_others(name, small):
    metric, layers, sites = compared(name, small)
    expected = Metric.leave_one_out(metric, layers, sites, N)
    found = metric.leave_one_out(layers, sites, N)
    assert found.shape == expected.shape == (N, 3, 2)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    if name != "procrustes":  # its draws are exact to first order only
        np.testing.assert_allclose(
            metric.resample_independently(layers, sites, leave_one_out_counts(N)), expected, atol=0.02
        )


@pytest.mark.parametrize("name", REFITTED)
def test_default_draws_vary_as_those_of_the_metric(name, small):
    """Jackknife pseudo-values are the bootstrap to first order: of nearly the same spread, and draw by draw alike."""
    metric, layers, sites = compared(name, small)
    counts = bootstrap_counts(N, 400, 3)
    own, default = metric.resample(layers, sites, counts), Metric.resample(metric, layers, sites, counts)
    assert default.dtype == np.float32
    ratio = default.std(axis=0) / own.std(axis=0)
    assert ratio.min() > 0.75
    assert ratio.max() < 1.35
    r = [pearsonr(a, b)[0] for a, b in zip(own.reshape(400, -1).T, default.reshape(400, -1).T, strict=True)]
    assert min(r) > 0.85
    once = np.ones((1, N), np.uint16)
    np.testing.assert_allclose(Metric.resample(metric, layers, sites, once)[0], metric.score(layers, sites), atol=1e-6)


def test_default_draws_have_the_standard_error_of_a_mean(small):
    """Of a mean over stimuli the pseudo-values are the values: the variance of draws is known."""

    class Mean(Agreement):
        def score(self, layers, sites):
            values = np.diagonal(layers, axis1=1, axis2=2).mean(axis=1)
            return np.tile(values[:, None], len(sites))

    metric, layers, sites = compared(Mean(), small)
    draws = metric.resample(layers, sites, bootstrap_counts(N, 4000, 0))
    expected = np.diagonal(layers, axis1=1, axis2=2).std(axis=1) / np.sqrt(N)
    np.testing.assert_allclose(draws[:, :, 0].std(axis=0), expected, rtol=0.05)


def test_a_metric_of_three_methods_has_a_whole_table(small, monkeypatch):
    site_data, layers = small
    monkeypatch.setitem(metrics._entries, "agreement", Agreement())
    captured = [CapturedLayer(f"layer{i}", i / 2, (60,), layer) for i, layer in enumerate(layers)]
    captured.append(CapturedLayer("no", 1.0, (5,), LayerKernel(np.full((N, N), np.nan), np.zeros(N), 5)))
    rows = score_layers(captured, SiteBenchmark(site_data, "agreement", settings=ScoreSettings(100, 19, 0)))
    assert set(rows.chosen) == {"", "naive", "nested"}
    scored = rows[(rows.layer != "no") & (rows.split == "all")]
    assert (scored.low < scored.score).all()
    assert (scored.score < scored.high).all()
    np.testing.assert_allclose(scored.p_value, 0.05)  # one in twenty: no relabelling reaches the score
    assert rows.ceiling.isna().all()
    lost = rows[(rows.layer == "no") & (rows.split == "all")]
    assert lost.score.isna().all()
    assert (lost.flag == "not defined by this metric").all()
    a, b = layers[0].gram, site_data.kernels[0]
    upper = np.triu_indices(N, 1)
    expected = np.corrcoef(a[upper], b[upper])[0, 1]
    found = scored[(scored.layer == "layer0") & (scored.site == site_data.sites[0].name)].score.item()
    assert found == pytest.approx(expected, abs=1e-12)


def test_no_layer_at_all_has_a_placeholder():
    metric = Agreement()
    assert metric.placeholder(np.full((2, 5, 5), np.nan)).shape == (5, 5)
    assert metric.placeholder(np.full((2, 7), np.nan)).shape == (7,)
    with pytest.raises(TypeError, match="agreement has to define `select`"):
        metric.select(np.zeros((3, 7)), np.arange(3))


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_says_what_a_reader_has_to_know(name):
    metric = metric_of(name)
    told = metric.describe()
    assert told.name == name
    for text in (told.summary, told.formula, told.use, told.sizes):
        assert text.endswith(".")
        assert text.isascii()
    assert told.citations
    assert all(c.link.startswith("https://") and c.key.split()[0] in c.text.split()[0] for c in told.citations)
    assert str(told).startswith(f"{name}: ")


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_has_the_ceiling_that_it_says(name, small):
    metric, site_data = metrics[name], small[0]
    ceiling = metric.ceiling(site_data, bootstrap_counts(N, 5, 0), 0)
    assert ceiling.scale == metric.scale
    assert metric.has_ceiling == np.isfinite(ceiling.value).all()


@pytest.mark.parametrize("name", [name for name in NAMES if metrics[name].bias != "depends on the layer"])
def test_scores_depend_on_the_number_of_stimuli_as_the_metric_says(name):
    metric, means, errors = metrics[name], [], []
    n_worlds = 40 if name == "rsa-reweighted" else 12
    for n in (36, 108):
        for related in (True, False):
            worlds = [world(n, seed, related=related) for seed in range(n_worlds)]
            found = [metric.score(metric.of_layers(layers, data), metric.of_sites(data)) for data, layers in worlds]
            scores = np.array([x[np.isfinite(x)].mean() for x in found if np.isfinite(x).any()])
            assert len(scores) >= n_worlds / 4  # a mixture without any weight has no score
            means.append(scores.mean())
            errors.append(scores.std(ddof=1) / np.sqrt(len(scores)))
    gains = np.subtract(means[:2], means[2:])  # few stimuli less many: related, unrelated
    error = np.hypot(errors[:2], errors[2:])
    if metric.bias == "none":
        assert (np.abs(gains) < 4 * error + 0.01).all()
    elif metric.bias == "higher with few stimuli":
        assert gains[1] > 5 * error[1]
    else:
        assert (gains < -1.5 * error).any()
        assert (gains < 2 * error).all()


def test_what_is_no_metric_is_refused(monkeypatch):
    monkeypatch.setitem(metrics._entries, "agreement", Agreement)
    with pytest.raises(
        MurineError, match=r"the entry point of the metric 'agreement' gives <class .* expected an object"
    ):
        metric_of("agreement")
    monkeypatch.setitem(metrics._entries, "disagreement", Agreement())
    with pytest.raises(MurineError, match="the metric 'agreement' is registered as 'disagreement'"):
        metric_of("disagreement")
