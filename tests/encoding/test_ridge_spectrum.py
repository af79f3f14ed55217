"""Principal directions of features, and how scaling stretches them."""

from __future__ import annotations

import numpy as np
import pytest

from murine.encoding.prediction_scores import correlations
from murine.encoding.ridge import ridge_loo
from murine.encoding.ridge_spectrum import Spectrum, projection_gains

N = 20


def data(n_units=60, n_neuroids=9, n_stimuli=N, seed=0):
    rng = np.random.default_rng([seed, n_units])
    features = rng.normal(size=(n_stimuli, n_units)) / np.arange(1, n_units + 1) + 3
    responses = features @ rng.normal(size=(n_units, n_neuroids)) + 0.5 * rng.normal(size=(n_stimuli, n_neuroids))
    return features, np.ascontiguousarray(responses.T)


@pytest.mark.parametrize("n_units", [5, 60])
def test_scale_trace_is_one_factor(n_units):
    features, responses = data(n_units)
    relative = features - features.mean(axis=0)
    factor = np.sqrt(4096 * N / (relative**2).sum())
    gram = features @ features.T
    by_hand = ridge_loo(factor**2 * gram, responses, scale="none")
    np.testing.assert_allclose(ridge_loo(gram, responses, scale="trace"), by_hand, rtol=0, atol=1e-9)
    assert np.abs(by_hand - ridge_loo(gram, responses, scale="none")).max() > 0.01


def test_scaling_forgets_the_unit_of_features():
    features, responses = data()
    gram = features @ features.T
    for scale in ("projection", "trace"):
        for factor in (1e-8, 1e8):
            np.testing.assert_allclose(
                ridge_loo(factor * gram, responses, scale=scale), ridge_loo(gram, responses, scale=scale), atol=1e-8
            )


@pytest.mark.parametrize("values", [[2.0], [1.0, 0.5], [3.0, 1.0, 0.0], 1 / np.arange(1, 60), 5 * np.ones(117)])
def test_gains_are_those_of_standardised_projections(values):
    values = np.asarray(values, dtype=float)
    gains = projection_gains(values)
    assert (gains * values).sum() == pytest.approx(1, abs=1e-10)
    assert (gains[values == 0] == 0).all()
    squares = np.random.default_rng(0).normal(size=(100_000, len(values))) ** 2
    simulated = (squares / (squares @ values)[:, None])[:, values > 0]
    error = simulated.std(axis=0) / np.sqrt(len(squares))
    assert (np.abs(gains[values > 0] - simulated.mean(axis=0)) <= 5 * error + 1e-12).all()
    if len(values) == 2:  # closed form: the mean of g1^2 / (a g1^2 + b g2^2) is 1 / (a + sqrt(a b))
        a, b = values
        np.testing.assert_allclose(gains, [1 / (a + np.sqrt(a * b)), 1 / (b + np.sqrt(a * b))], rtol=1e-10)


def test_default_scale_is_the_limit_of_many_random_projections():
    features, responses = data(n_units=200)
    columns = features @ np.random.default_rng(1).normal(size=(200, 400_000))
    columns -= columns.mean(axis=0)
    columns /= columns.std(axis=0)
    gram = 4096 / columns.shape[1] * (columns @ columns.T)
    many = correlations(ridge_loo(gram, responses, 2000.0, scale="none"), responses)
    error = {
        scale: np.abs(
            correlations(ridge_loo(features @ features.T, responses, 2000.0, scale=scale), responses) - many
        ).max()
        for scale in ("projection", "trace")
    }
    assert error["projection"] < 0.01
    assert error["trace"] > 5 * error["projection"]


def test_directions_are_orthogonal_to_the_constant_one():
    features = data(n_units=3)[0]  # of low rank: directions without variance are many
    spectrum = Spectrum.of_kernel(features @ features.T, "none")
    assert spectrum.vectors.shape == (N, N - 1)
    np.testing.assert_allclose(spectrum.vectors.sum(axis=0), 0, atol=1e-12)
    assert (spectrum.values > 0).sum() == 3
