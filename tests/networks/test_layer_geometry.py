"""Dimensionality and sparseness of layers, against the features they are of."""

from __future__ import annotations

import numpy as np
import pytest

from murine.networks.layer_geometry import effective_dimensionality, sparseness
from murine.networks.layer_kernel import LayerKernel

FEATURES = np.maximum(np.random.default_rng(0).normal(0.2, 1, (30, 50)) * np.linspace(0.2, 3, 50), 0)


def test_they_are_those_of_the_features():
    kernel = LayerKernel.of(FEATURES)
    eigenvalues = np.linalg.eigvalsh(np.cov(FEATURES.T))
    assert effective_dimensionality(kernel) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
    by_image = 1 - FEATURES.mean(axis=1) ** 2 / (FEATURES**2).mean(axis=1)
    assert sparseness(kernel) == pytest.approx(by_image.mean())


def test_they_do_not_depend_on_scale_and_dimensionality_not_on_an_offset():
    kernel, scaled, shifted = (LayerKernel.of(x) for x in (FEATURES, 7 * FEATURES, FEATURES + 3))
    assert effective_dimensionality(scaled) == pytest.approx(effective_dimensionality(kernel))
    assert sparseness(scaled) == pytest.approx(sparseness(kernel))
    assert effective_dimensionality(shifted) == pytest.approx(effective_dimensionality(kernel))
    assert sparseness(shifted) < sparseness(kernel)


@pytest.mark.parametrize("features", [np.ones((5, 4)), np.full((5, 4), np.nan)])
def test_a_layer_without_variance_has_no_dimensionality(features):
    assert np.isnan(effective_dimensionality(LayerKernel.of(features)))


def test_silent_images_are_left_out_and_a_silent_layer_has_no_sparseness():
    silent = np.vstack([FEATURES, np.zeros(50)])
    assert sparseness(LayerKernel.of(silent)) == pytest.approx(sparseness(LayerKernel.of(FEATURES)))
    assert np.isnan(sparseness(LayerKernel.of(np.zeros((4, 6)))))
