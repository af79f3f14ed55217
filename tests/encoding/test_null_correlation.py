"""Correlations by chance against relabelled and random responses."""

from __future__ import annotations

import numpy as np
import pytest

from murine.cortex.simulated import simulate
from murine.encoding.null_correlation import null_correlations, rescale_above_null
from murine.encoding.prediction_operators import correlate_predictions
from murine.encoding.ridge import ridge_loo_operators
from murine.scenes import synthetic_scenes

N = 40


def operator(n_units, relative=True):
    features = np.random.default_rng(n_units).normal(size=(N, n_units))
    features -= features.mean(axis=0)
    return ridge_loo_operators((features @ features.T)[None], relative=relative)


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("n_units", [2, 6, 39, 50, 3000])
def test_the_mean_over_random_responses(n_units, relative):
    found = null_correlations(operator(n_units, relative))
    r = correlate_predictions(operator(n_units, relative), np.random.default_rng(1).normal(size=(20000, N)))[0]
    assert found[0] == pytest.approx(r.mean(), abs=4 * r.std() / np.sqrt(len(r)))


def test_layers_of_few_dimensions_are_below_zero_and_of_as_many_as_stimuli_above():
    few, many = null_correlations(np.concatenate([operator(2), operator(39)]))
    assert few < -0.05
    assert many > 0.05


def test_the_mean_over_relabelled_neurons():
    """Of responses that are skewed, as neurons' are."""
    responses = simulate(synthetic_scenes(N, 40), n_neuroids=20, n_repetitions=2).true_responses
    rng = np.random.default_rng(0)
    relabelled = np.concatenate([rng.permuted(responses, axis=1) for _ in range(300)])
    for n_units in (3, 45):
        r = correlate_predictions(operator(n_units), relabelled)[0]
        assert r.mean() == pytest.approx(null_correlations(operator(n_units))[0], abs=0.01)


def test_sizes_do_not_matter_and_what_is_not_defined_is_nan():
    one = operator(10)
    assert null_correlations(-7 * one) == pytest.approx(-null_correlations(one))
    nothing = np.concatenate([np.zeros((1, N, N)), np.full((1, N, N), np.nan)])
    assert np.isnan(null_correlations(nothing)).all()
    # What predicts responses by themselves has r = 1 by chance.
    assert null_correlations(np.eye(N)[None]) == pytest.approx(1, abs=1e-5)


def test_chance_is_zero_and_one_stays_one():
    np.testing.assert_allclose(rescale_above_null(np.array([0.1, 1.0, 0.55]), np.array([0.1, 0.1, 0.1])), [0, 1, 0.5])
