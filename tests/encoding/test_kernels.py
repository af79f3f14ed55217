"""Kernels of layers for regression."""

from __future__ import annotations

import numpy as np
import pytest

from murine.encoding.kernels import centre_layer_grams
from murine.errors import MurineError
from murine.networks.layer_kernel import LayerKernel

N = 20


def data(n_units=60, n_neuroids=9, n_stimuli=N, seed=0):
    rng = np.random.default_rng([seed, n_units])
    features = rng.normal(size=(n_stimuli, n_units)) / np.arange(1, n_units + 1) + 3
    responses = features @ rng.normal(size=(n_units, n_neuroids)) + 0.5 * rng.normal(size=(n_stimuli, n_neuroids))
    return features, np.ascontiguousarray(responses.T)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_kernels_of_layers(offset):
    features = data(n_units=500)[0] + offset * np.random.default_rng(0).random(500)
    relative = features - features.mean(axis=0)
    blank, broken = np.ones((N, 500)), np.full((N, 500), np.nan)
    grams = centre_layer_grams([LayerKernel.of(x) for x in (features, blank, broken)])
    np.testing.assert_allclose(grams[0], relative @ relative.T, rtol=0, atol=1e-9 * max(1, offset))
    assert np.isnan(grams[1:]).all()
    with pytest.raises(MurineError, match="No layers"):
        centre_layer_grams([])
